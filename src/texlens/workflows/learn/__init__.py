"""Correct and learn: a folder of images is read, the doubtful readings are corrected, and training is judged on rows
that were kept aside from the first correction on."""
