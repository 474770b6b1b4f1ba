"""Greedy reading of one image in numpy alone, without loading torch or transformers."""
