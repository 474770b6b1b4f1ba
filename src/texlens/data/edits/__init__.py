"""Corrections, exclusions and marks of rows, in a file of their own: the source never changes."""
