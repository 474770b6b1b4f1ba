"""A model's linear layers, adapted by PEFT or not, as the products that the fused layers take."""

from collections.abc import Sequence
from typing import Any

import torch
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn

from texlens.kernels.decoder_layer.reference import Adapted
from texlens.kernels.lora_linear.products import Adapter, Stored, ranks_of
from texlens.kernels.nf4.format import why_not_nf4
from texlens.models.fp8 import Fp8Linear


def stack(layers: Sequence[nn.Module]) -> Stored:
    """The layers (of one input) as one product; their weights become parts of one tensor, without a second copy."""
    bases = [base_of(layer) for layer in layers]
    adapters = adapters_of(layers)
    bordered = _joined([base.weight for base in bases], ranks_of(adapters))
    bias = bases[0].bias
    if bias is not None and len(bases) > 1:
        bias = _joined([base.bias for base in bases], 0)
    height = sum(base.out_features for base in bases)
    return Stored(bordered, height, None if bias is None else bias.detach(), adapters)


def for_plain_form(product: Stored) -> Adapted:
    """The same for the plain form: down stacked, up scaled on a diagonal of blocks, within autograd's graph."""
    weight = product.bordered[: product.height, : product.width]
    if not product.adapters:
        return Adapted(weight, product.bias, None, None)
    down = torch.cat([adapter.down for adapter in product.adapters]).to(weight.dtype)
    up = weight.new_zeros(product.height, len(down), dtype=torch.promote_types(weight.dtype, torch.float32))
    for adapter in product.adapters:
        wide = torch.zeros_like(up)
        wide[adapter.rows, adapter.columns] = adapter.up * adapter.scale
        up = up + wide
    return Adapted(weight, product.bias, down, up.to(weight.dtype))


def why_not(layer: nn.Module) -> str | None:
    """What keeps a layer from being part of a fused pass, or None."""
    base = base_of(layer)
    if reason := _why_not_base(base):
        return reason
    if base.weight.requires_grad:
        return "a layer that is trained itself"
    if layer is base:
        return None
    if type(layer) is not LoraLinear and not _is_lora_on_4_bit(layer):
        return f"a {type(layer).__module__.rsplit('.', 1)[-1]} adapter"
    return _why_not_adapter(layer)


def _why_not_adapter(layer: Any) -> str | None:
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
    adapted = isinstance(layer, LoraLinear) or _is_lora_on_4_bit(layer)
    return layer.base_layer if adapted else layer  # type: ignore[return-value]


def holds_4_bit(layer: nn.Module) -> bool:
    """Whether its weight is bitsandbytes' `Linear4bit`, which need not be installed."""
    return _is(base_of(layer), "bitsandbytes.nn.modules", "Linear4bit")


def _is_lora_on_4_bit(layer: nn.Module) -> bool:
    return _is(layer, "peft.tuners.lora.bnb", "Linear4bit")


def _is(layer: nn.Module, module: str, name: str) -> bool:
    return (type(layer).__module__, type(layer).__name__) == (module, name)


def _why_not_base(base: nn.Linear) -> str | None:
    if holds_4_bit(base):
        return why_not_nf4(base.weight)
    if isinstance(base, Fp8Linear):
        return None
    if type(base) is not nn.Linear or not base.weight.is_floating_point() or base.weight.itemsize not in (2, 4, 8):
        return f"a {type(base).__name__} layer"
    return None


def adapters_of(layers: Sequence[nn.Module]) -> tuple[Adapter, ...]:
    found, row, column = [], 0, 0
    for layer in layers:
        height = base_of(layer).out_features
        if parts := _parts(layer):
            down, up, scale = parts
            found.append(Adapter(down, up, scale, slice(row, row + height), slice(column, column + len(down))))
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
