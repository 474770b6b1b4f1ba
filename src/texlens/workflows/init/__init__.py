"""`texlens init`: a run file for some data and a GPU, with the reason for every line in it."""
