"""A model's linear layers, adapted by PEFT or not, as the tensors that the fused passes take."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn

from texlens.kernels.fused import Adapted


@dataclass(frozen=True)
class Projection:
    """Linear layers with a common input as one product: weights stacked, adapters side by side.

    `updates` holds (down [r, D], up [N, r], scale) of each layer, or None where it is not adapted.
    """

    weight: Tensor
    bias: Tensor | None
    heights: tuple[int, ...]
    updates: tuple[tuple[Tensor, Tensor, float] | None, ...]

    def adapted(self) -> Adapted:
        """The adapters as they are now, in the weight's dtype: down stacked, up scaled on a diagonal of blocks."""
        present = [update for update in self.updates if update]
        if not present:
            return Adapted(self.weight, self.bias, None, None)
        dtype = self.weight.dtype
        down = torch.cat([down for down, _, _ in present]).to(dtype)
        if len(self.heights) == 1:
            _, up, scale = present[0]
            return Adapted(self.weight, self.bias, down, (up * scale).to(dtype))
        blocks = [
            update[1] * update[2] if update else down.new_zeros((height, 0), dtype=torch.float32)
            for update, height in zip(self.updates, self.heights, strict=True)
        ]
        return Adapted(self.weight, self.bias, down, torch.block_diag(*blocks).to(dtype))


def stack(layers: Sequence[nn.Module]) -> Projection:
    """The layers (of one input) as one projection; their weights become slices of one tensor, without a second copy."""
    bases = [base_of(layer) for layer in layers]
    weight, bias = bases[0].weight, bases[0].bias
    if len(bases) > 1:
        weight = _joined([base.weight for base in bases])
        bias = None if bias is None else _joined([base.bias for base in bases])
    return Projection(
        weight.detach(),
        None if bias is None else bias.detach(),
        tuple(base.out_features for base in bases),
        tuple(_update(layer) for layer in layers),
    )


def why_not(layer: nn.Module) -> str | None:
    """What keeps a layer from being part of a fused pass, or None."""
    base = base_of(layer)
    if type(base) is not nn.Linear or not base.weight.is_floating_point() or base.weight.itemsize not in (2, 4, 8):
        return f"a {type(base).__name__} layer"
    if base.weight.requires_grad:
        return "a layer that is trained itself"
    if layer is base:
        return None
    if type(layer) is not LoraLinear:
        return f"a {type(layer).__module__.rsplit('.', 1)[-1]} adapter"
    if len(layer.active_adapters) != 1 or layer.merged or layer.disable_adapters:
        return "an adapter that is merged, off, or one of several"
    name = layer.active_adapters[0]
    if name in layer.lora_variant:
        return "a variant of LoRA (DoRA, say)"
    if name in layer.lora_A and (layer.lora_A[name].bias is not None or layer.lora_B[name].bias is not None):
        return "a LoRA with a bias"
    if name in layer.lora_dropout and getattr(layer.lora_dropout[name], "p", 0) > 0:
        return "LoRA dropout"
    return None


def base_of(layer: nn.Module) -> nn.Linear:
    return layer.base_layer if isinstance(layer, LoraLinear) else layer  # type: ignore[return-value]


def _update(layer: Any) -> tuple[Tensor, Tensor, float] | None:
    if layer is base_of(layer):
        return None
    name = layer.active_adapters[0]
    if name not in layer.lora_A:
        return None
    return layer.lora_A[name].weight, layer.lora_B[name].weight, layer.scaling[name]


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """One tensor of all parts, of which each part becomes a view."""
    with torch.no_grad():
        whole = torch.cat([part.detach() for part in parts])
        start = 0
        for part in parts:
            part.data = whole[start : start + len(part)]
            start += len(part)
    return whole
