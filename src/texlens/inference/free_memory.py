"""Give back the memory of a model that nothing refers to any more."""

import gc

import torch


def free_memory() -> None:
    """Collect garbage, and empty torch's cache of GPU memory."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
