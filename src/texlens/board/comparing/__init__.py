"""Stored comparisons of a run: the table with paired intervals, and the rows side by side."""
