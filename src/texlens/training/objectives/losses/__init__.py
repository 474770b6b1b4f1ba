"""The losses as functions of log-probabilities, one file each."""
