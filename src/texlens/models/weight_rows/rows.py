"""Where the weights of a model come from that is filled parameter by parameter."""

from typing import Any, Protocol

from torch import Tensor, nn


class WeightRows(Protocol):
    def __call__(self, name: str, rows: slice) -> Tensor:
        """Rows (along the first dimension) of a parameter by its name in the stock model, in its type."""
        ...


def no_rows(name: str, rows: slice) -> Tensor:
    """For models that are whole in memory."""
    raise AssertionError(f"{name} is a placeholder, and there is no file to read it from")


def parameter_owner(module: nn.Module, name: str) -> tuple[Any, str]:
    """The submodule that has a parameter, and the parameter's name in it."""
    path, _, leaf = name.rpartition(".")
    return module.get_submodule(path), leaf
