"""The label of positions that carry no loss."""

IGNORE_INDEX = -100
"""PyTorch's default `ignore_index` of cross-entropy."""
