"""How a linear layer's weight is stored in a quantized folder, and what config.json says so that loaders know."""

import importlib.metadata
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from texlens.core.errors import ExportError


@dataclass(frozen=True)
class Codec:
    """`encode` maps a layer's full module name and weight `[outputs, inputs]` to tensors, named below the layer.

    `settings` makes config.json's `quantization_config` from the linear layers that stay as they are.
    """

    encode: Callable[[str, Tensor], Mapping[str, Tensor]]
    settings: Callable[[Sequence[str]], dict[str, Any]]
    made: Mapping[str, Any]
    """What the card says of the method."""


def require_package(package: str, module: str, form: str) -> str:
    """The installed version.

    Raises:
        ExportError: not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise ExportError(f"--format {form} needs the package {package}; pip install 'texlens[export]'")
    return importlib.metadata.version(package)
