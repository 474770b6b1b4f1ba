"""Looking at the rows of a data set page by page: search, filters, problems, duplicates."""
