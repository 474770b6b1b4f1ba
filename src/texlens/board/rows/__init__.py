"""What the data page shows: rows of a data set, their problems, their tokens."""
