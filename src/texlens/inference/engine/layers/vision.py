"""Image features for the rows of a pack: the tower runs once for all rows whose adapters leave it as it is.

# I = image tokens, D = width of the language model
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from torch.nn import functional

from texlens.inference.engine.layers.cpu_vision import CpuTower, can_pack
from texlens.inference.engine.layers.weights import owns_its_storage
from texlens.kernels.backends import runs_triton
from texlens.kernels.vision_fp8.api import split_heads_rope
from texlens.models.packed.vision import PackedVision
from texlens.models.processor import Processor


class InferenceVision(PackedVision):
    """The packed tower.

    On a GPU the blocks of a tower in 16 bits without adapters are fused, as in training; on a CPU those in float32 may
    have packed weights. Others run module by module, because adapters change from call to call, with queries and keys
    rotated by one kernel.
    """

    def __init__(self, visual: Any, processor: Processor, *, packs: bool = False):
        backend = "triton" if _can_fuse(visual) else "reference"
        with _without_gradients(visual):
            super().__init__(visual, processor.geometry, processor.family.vision, backend=backend)
        self._cpu = CpuTower(visual) if packs and can_pack(visual) else None

    def _features(self, pack: dict) -> tuple[Tensor, list[Tensor]]:
        if self._cpu is None:
            return super()._features(pack)
        x = self._embedded(pack)
        return self._cpu(x, *self._rotary(pack["cells"]), pack["image_ends"], self.deepstack_blocks)

    def _embedded(self, pack: dict) -> Tensor:
        if self._cpu is None or "table_index" not in pack:
            return super()._embedded(pack)
        # One pass over the table, a tenth of the time of four rows of it, their products and their sum.
        x, weights = self._embed(pack["patches"]), pack["table_weight"]
        table = self.visual.pos_embed.weight
        return x.add_(functional.embedding_bag(pack["table_index"], table, mode="sum", per_sample_weights=weights))

    def _before(
        self, block: Any, x: Tensor, residual: Tensor | None, cos: Tensor, sin: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = x if residual is None else x + residual
        return x, *split_heads_rope(block.attn.qkv(block.norm1(x)), block.attn.num_heads, cos, sin)


class VisionTower:
    """
    Args:
        model: the stock model.
        adapters: PEFT's names, in the order of their numbers; None is the base.
        packs: see `DecodingEngine`.
    """

    def __init__(self, model: Any, processor: Processor, adapters: Sequence[str | None], *, packs: bool = False):
        self._tower = InferenceVision(model.model.visual, processor, packs=packs)
        modules = model.model.visual.modules()
        self._adapted: list[Any] = [module for module in modules if isinstance(module, BaseTunerLayer)]
        names = {name for module in self._adapted for name in _names(module)}
        self._versions = [name if name in names else None for name in adapters]

    def versions(self, adapter_B: Sequence[int]) -> tuple[str | None, ...]:
        """The adapters on the tower that rows of these adapters need, None where it is left as it is."""
        return tuple(dict.fromkeys(self._versions[number] for number in adapter_B))

    def version_numbers(self, adapter_B: Sequence[int]) -> np.ndarray:
        """Of each row the number of its version in `versions`."""
        versions = self.versions(adapter_B)
        return np.array([versions.index(self._versions[number]) for number in adapter_B])

    def __call__(
        self, inputs: Mapping[str, Any], versions: Sequence[str | None], feature_rows_I: Tensor, version_I: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Of each image token [I, D]: its feature, and what is added to it after the first layers.

        Args:
            inputs: the vision tower's part of a pack.
            feature_rows_I, version_I: which merged patch each image token is, and of which version.
        """
        results = []
        for version in versions:
            with self._using(version):
                features, deepstack = self._tower(dict(inputs))
            results.append([part[feature_rows_I] for part in (features, *deepstack)])
        merged = [_selected(parts, version_I[:, None]) for parts in zip(*results, strict=True)]
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


@contextmanager
def _without_gradients(visual: Any) -> Iterator[None]:
    """Nothing is trained: a fused block takes any weight, and sees its changes."""
    trained = [parameter for parameter in visual.parameters() if parameter.requires_grad]
    visual.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def _can_fuse(visual: Any) -> bool:
    """Whether the blocks' weights are of 16 bits and may move where layers of one input are joined."""
    weight = visual.patch_embed.proj.weight
    if not runs_triton(weight.device) or weight.dtype not in (torch.bfloat16, torch.float16):
        return False
    gates = [
        part for block in visual.blocks for name in ("gate_proj", "up_proj") if (part := getattr(block.mlp, name, None))
    ]
    may_move = all(isinstance(part, nn.Linear) and owns_its_storage(part.weight) for part in gates)
    return may_move and not any(isinstance(module, BaseTunerLayer) for module in visual.modules())
