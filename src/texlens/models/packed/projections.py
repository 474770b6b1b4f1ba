"""A model's linear layers, adapted by PEFT or not, as the products that the fused layers take."""

from collections.abc import Sequence
from typing import Any

import torch
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn

from texlens.kernels.adapter import Adapter, padded_ranks
from texlens.kernels.decoder_layer.reference import LoraWeight
from texlens.kernels.lora_linear.augmented import DenseLinear
from texlens.kernels.nf4.format import nf4_unsupported_reason
from texlens.models.fp8 import Fp8Linear


def stack(layers: Sequence[nn.Module]) -> DenseLinear:
    """The layers (of one input) as one product; their weights become views of one tensor, without a second copy."""
    bases = [base_of(layer) for layer in layers]
    adapters = adapters_of(layers)
    augmented = _joined([base.weight for base in bases], padded_ranks(adapters))
    bias = bases[0].bias
    if bias is not None and len(bases) > 1:
        bias = _joined([base.bias for base in bases], 0)
    height = sum(base.out_features for base in bases)
    return DenseLinear(augmented, height, None if bias is None else bias.detach(), adapters)


def for_reference(product: DenseLinear) -> LoraWeight:
    """The same for the reference: LoRA A stacked, LoRA B scaled and block-diagonal, with autograd."""
    weight = product.augmented[: product.height, : product.width]
    if not product.adapters:
        return LoraWeight(weight, product.bias, None, None)
    lora_a = torch.cat([adapter.lora_a for adapter in product.adapters]).to(weight.dtype)
    lora_b = weight.new_zeros(product.height, len(lora_a), dtype=torch.promote_types(weight.dtype, torch.float32))
    for adapter in product.adapters:
        update = torch.zeros_like(lora_b)
        update[adapter.rows, adapter.columns] = adapter.lora_b * adapter.scaling
        lora_b = lora_b + update
    return LoraWeight(weight, product.bias, lora_a, lora_b.to(weight.dtype))


def unfused_linear_reason(layer: nn.Module) -> str | None:
    """Why a linear layer can't be part of a fused layer, or None."""
    base = base_of(layer)
    if reason := _unfused_base_reason(base):
        return reason
    if base.weight.requires_grad:
        return "a layer whose weight is trained"
    if layer is base:
        return None
    if type(layer) is not LoraLinear and not _is_lora_on_4_bit(layer):
        return f"a {type(layer).__module__.rsplit('.', 1)[-1]} adapter"
    return _unfused_adapter_reason(layer)


def _unfused_adapter_reason(layer: Any) -> str | None:
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


def is_4_bit(layer: nn.Module) -> bool:
    """Whether its weight is bitsandbytes' `Linear4bit`, which need not be installed."""
    return _is(base_of(layer), "bitsandbytes.nn.modules", "Linear4bit")


def _is_lora_on_4_bit(layer: nn.Module) -> bool:
    return _is(layer, "peft.tuners.lora.bnb", "Linear4bit")


def _is(layer: nn.Module, module: str, name: str) -> bool:
    return (type(layer).__module__, type(layer).__name__) == (module, name)


def _unfused_base_reason(base: nn.Linear) -> str | None:
    if is_4_bit(base):
        return nf4_unsupported_reason(base.weight)
    if isinstance(base, Fp8Linear):
        return None
    if type(base) is not nn.Linear or not base.weight.is_floating_point() or base.weight.itemsize not in (2, 4, 8):
        return f"a {type(base).__name__} layer"
    return None


def adapters_of(layers: Sequence[nn.Module]) -> tuple[Adapter, ...]:
    adapters, row, column = [], 0, 0
    for layer in layers:
        height = base_of(layer).out_features
        if parts := _parts(layer):
            lora_a, lora_b, scaling = parts
            adapters.append(
                Adapter(lora_a, lora_b, scaling, slice(row, row + height), slice(column, column + len(lora_a)))
            )
            column += len(lora_a)
        row += height
    return tuple(adapters)


def _parts(layer: Any) -> tuple[Tensor, Tensor, float] | None:
    if layer is base_of(layer):
        return None
    name = layer.active_adapters[0]
    if name not in layer.lora_A:
        return None
    return layer.lora_A[name].weight, layer.lora_B[name].weight, layer.scaling[name]


@torch.no_grad()
def _joined(parts: Sequence[Tensor], extra_columns: int) -> Tensor:
    """One tensor of all parts stacked, of which each part becomes a view; with extra rows and columns of zeros."""
    if len(parts) == 1 and not extra_columns:
        return parts[0].detach()
    sizes = [size + extra_columns for size in parts[0].shape[1:]]
    joined = parts[0].new_zeros(sum(map(len, parts)) + extra_columns, *sizes)
    left = joined[:, : parts[0].shape[1]] if extra_columns else joined
    start = 0
    for part in parts:
        left[start : start + len(part)] = part
        part.data = left[start : start + len(part)]
        start += len(part)
    return joined
