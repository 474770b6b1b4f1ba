"""Image features for the rows of a pack: the tower runs once for all rows whose adapters leave it as it is.

# I = image tokens, D = width of the language model
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor

from texlens.data.geometry import ImageGeometry
from texlens.inference.engine.prompt_pack import PromptPack
from texlens.models.packed.vision import PackedVision


class VisionTower:
    """
    Args:
        model: the stock model.
        adapters: PEFT's names, in the order of their numbers; None is the base.
    """

    def __init__(self, model: Any, geometry: ImageGeometry, adapters: Sequence[str | None]):
        self._tower = PackedVision(model.model.visual, geometry)
        self._adapted = [module for module in model.model.visual.modules() if isinstance(module, BaseTunerLayer)]
        names = {name for module in self._adapted for name in _names(module)}
        self._versions = [name if name in names else None for name in adapters]

    def __call__(
        self, pack: PromptPack, adapter_B: np.ndarray, to_device: Callable[[Any], Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Of each image token [I, D]: its feature, and what is added to it after the first layers."""
        inputs = {
            name: to_device(value) if isinstance(value, Tensor) else value for name, value in pack.vision.items()
        }
        feature_rows_I = to_device(pack.feature_rows)
        wanted = list(dict.fromkeys(self._versions[number] for number in adapter_B))
        versions = []
        for version in wanted:
            with self._using(version):
                features, deepstack = self._tower(inputs)
            versions.append([part[feature_rows_I] for part in (features, *deepstack)])
        if len(versions) == 1:
            return versions[0][0], versions[0][1:]
        number_B = np.array([wanted.index(self._versions[number]) for number in adapter_B])
        number_I1 = to_device(number_B[pack.rows.numpy()[pack.image_rows.numpy()]])[:, None]
        merged = [_selected(parts, number_I1) for parts in zip(*versions, strict=True)]
        return merged[0], merged[1:]

    @contextmanager
    def _using(self, version: str | None) -> Iterator[None]:
        """The tower's layers with one adapter, or none; modes and gradients as before afterwards."""
        before = [(layer, layer.disable_adapters, list(layer.active_adapters)) for layer in self._adapted]
        trained = [parameter for layer in self._adapted for parameter in layer.parameters() if parameter.requires_grad]
        for layer, _, _ in before:
            if version is not None and version in _names(layer):
                layer.enable_adapters(True)
                layer.set_adapter(version)
            else:
                layer.enable_adapters(False)
        try:
            yield
        finally:
            for layer, disabled, active in before:
                layer.set_adapter(active)
                layer.enable_adapters(not disabled)
            for layer, _, _ in before:
                layer.requires_grad_(False)
            for parameter in trained:
                parameter.requires_grad_(True)


def _names(layer: Any) -> set[str]:
    """Adapters that a layer has."""
    return {name for part in layer.adapter_layer_names for name in getattr(layer, part, {})}


def _selected(parts: Sequence[Tensor], number_I1: Tensor) -> Tensor:
    """Of each row the version that its number names."""
    result = parts[0]
    for number, part in enumerate(parts[1:], 1):
        result = torch.where(number_I1 == number, part, result)
    return result
