"""How the weight of a linear layer is stored in a quantized folder, and what config.json says so that loaders know."""

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

    `settings` maps the names of the modules that are not quantized to config.json's `quantization_config`; `notes`
    describe the method in the manifest.
    """

    encode: Callable[[str, Tensor], Mapping[str, Tensor]]
    settings: Callable[[Sequence[str]], dict[str, Any]]
    notes: Mapping[str, Any]


def require_package(package: str, module: str, export_format: str) -> str:
    """The installed version.

    Raises:
        ExportError: not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise ExportError(f"--format {export_format} needs the package {package}; pip install 'texlens[export]'")
    return importlib.metadata.version(package)
