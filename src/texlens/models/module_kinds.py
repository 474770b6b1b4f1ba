"""Kinds of modules of libraries that need not be installed, recognized by the names of their classes."""

from torch import nn


def is_class(module: nn.Module, path: str, name: str) -> bool:
    """Whether it is of the class of this name in the Python module `path`."""
    return (type(module).__module__, type(module).__name__) == (path, name)


def is_4_bit_layer(module: nn.Module) -> bool:
    """Whether it is bitsandbytes' `Linear4bit`."""
    return is_class(module, "bitsandbytes.nn.modules", "Linear4bit")
