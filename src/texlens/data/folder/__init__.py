"""The data set folder: what every `texlens data` command writes, and `datasets.load_dataset(DIR)` reads."""
