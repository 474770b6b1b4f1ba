"""A model's linear layers, adapted by PEFT or not, as the products that the fused layers take."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn

from texlens.kernels.fused import Adapted

_MULTIPLE = 8
"""Borders are this many columns or a multiple: rows of 16-bit numbers then begin at multiples of 16 bytes."""


class Update(NamedTuple):
    """The adapter of one layer: down [r, D], up [n, r], and where in the stacked product it lies."""

    down: Tensor
    up: Tensor
    scale: float
    rows: slice
    columns: slice


@dataclass
class Projection:
    """Linear layers with a common input as one product: weights stacked, adapters side by side.

    `bordered` is [N + R, D + R]: the stacked weight; at its right each adapter's `up` with its scale, in the rows of
    its layer and columns of its own; below it each adapter's `down`. What no adapter takes is zero.
    """

    bordered: Tensor
    bias: Tensor | None
    heights: tuple[int, ...]
    updates: tuple[Update, ...]
    _seen: tuple = field(default=(), repr=False)

    @property
    def height(self) -> int:
        return sum(self.heights)

    @property
    def width(self) -> int:
        return self.bordered.shape[1] - self.border

    @property
    def border(self) -> int:
        return self.bordered.shape[0] - self.height

    def trained(self) -> tuple[Tensor, ...]:
        return tuple(part for update in self.updates for part in (update.down, update.up))

    def whole(self) -> Tensor:
        """The bordered weight, with the adapters as they are now."""
        now = tuple((part._version, part.data_ptr()) for part in self.trained())
        if now != self._seen:
            self._seen = now
            self._fill()
        return self.bordered

    @torch.no_grad()
    def _fill(self) -> None:
        right, below = self.bordered[: self.height, self.width :], self.bordered[self.height :, : self.width]
        for update in self.updates:
            right[update.rows, update.columns] = update.up * update.scale
            below[update.columns] = update.down

    def slopes(self, down: Tensor | None, up: Tensor | None) -> list[Tensor]:
        """Of each adapter's `down` and `up`, from those of the border."""
        if down is None or up is None:
            return []
        found = []
        for update in self.updates:
            found += [down[update.columns], up[update.rows, update.columns] * update.scale]
        return found

    def adapted(self) -> Adapted:
        """The same for the plain form: down stacked, up scaled on a diagonal of blocks, within autograd's graph."""
        weight = self.bordered[: self.height, : self.width]
        if not self.updates:
            return Adapted(weight, self.bias, None, None)
        down = torch.cat([update.down for update in self.updates]).to(weight.dtype)
        up = weight.new_zeros(self.height, len(down), dtype=torch.promote_types(weight.dtype, torch.float32))
        place = 0
        for update in self.updates:
            wide = up.new_zeros(self.height, len(down))
            wide[update.rows, place : place + len(update.down)] = update.up * update.scale
            up, place = up + wide, place + len(update.down)
        return Adapted(weight, self.bias, down, up.to(weight.dtype))


def stack(layers: Sequence[nn.Module]) -> Projection:
    """The layers (of one input) as one projection; their weights become parts of one tensor, without a second copy."""
    bases = [base_of(layer) for layer in layers]
    heights = tuple(base.out_features for base in bases)
    updates = _updates(layers, heights)
    ranks = updates[-1].columns.stop if updates else 0
    bordered = _joined([base.weight for base in bases], -(-ranks // _MULTIPLE) * _MULTIPLE)
    bias = bases[0].bias
    if bias is not None and len(bases) > 1:
        bias = _joined([base.bias for base in bases], 0)
    return Projection(bordered, None if bias is None else bias.detach(), heights, updates)


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


def _updates(layers: Sequence[nn.Module], heights: Sequence[int]) -> tuple[Update, ...]:
    found, row, column = [], 0, 0
    for layer, height in zip(layers, heights, strict=True):
        if parts := _parts(layer):
            down, up, scale = parts
            found.append(Update(down, up, scale, slice(row, row + height), slice(column, column + len(down))))
            column += len(down)
        row += height
    return tuple(found)


def _parts(layer: Any) -> tuple[Tensor, Tensor, float] | None:
    if layer is base_of(layer):
        return None
    name = layer.active_adapters[0]
    if name not in layer.lora_A:
        return None
    return layer.lora_A[name].weight, layer.lora_B[name].weight, layer.scaling[name]


@torch.no_grad()
def _joined(parts: Sequence[Tensor], border: int) -> Tensor:
    """One tensor of all parts, one below the other, of which each part becomes a view; with a border of zeros."""
    if len(parts) == 1 and not border:
        return parts[0].detach()
    rest = [size + border for size in parts[0].shape[1:]]
    whole = parts[0].new_zeros(sum(map(len, parts)) + border, *rest)
    inner = whole[:, : parts[0].shape[1]] if border else whole
    start = 0
    for part in parts:
        inner[start : start + len(part)] = part
        part.data = inner[start : start + len(part)]
        start += len(part)
    return whole
