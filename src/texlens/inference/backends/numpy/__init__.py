"""The shipped model's way of reading in numpy alone: one image, at once, without loading torch or transformers."""
