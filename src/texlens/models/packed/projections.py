"""A model's linear layers, adapted by PEFT or not, as the products that the fused layers take."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from texlens.kernels.adapter import Adapter, padded_ranks
from texlens.kernels.decoder_layer.reference import LoraWeight
from texlens.kernels.dropout.mask import DropoutSeed, LoraDropout
from texlens.kernels.lora_linear.augmented import AugmentedLinear, DenseLinear
from texlens.kernels.lora_linear.dora import DoraLinear
from texlens.kernels.lora_linear.fused_linear import FusedLinear
from texlens.kernels.moe_lora.api import Gating
from texlens.kernels.moe_lora.gating import Router
from texlens.kernels.moe_lora.reference import gates_of
from texlens.kernels.nf4.format import nf4_unsupported_reason
from texlens.models.fp8 import Fp8Linear
from texlens.models.module_kinds import is_4_bit_layer, is_class


@dataclass(frozen=True)
class LoraOptions:
    """What the products of a model share.

    Args:
        seed: of the dropout of all adapters.
        products: numbers of the products.
    """

    seed: DropoutSeed = field(default_factory=DropoutSeed)
    products: Iterator[int] = field(default_factory=itertools.count)

    def variant(self, layers: Sequence[nn.Module]) -> tuple[LoraDropout | None, Gating | None]:
        """Dropout and routers of the adapters of layers with one input."""
        number, probability = next(self.products), max(map(dropout_of, layers))
        dropout = LoraDropout(probability, number, self.seed) if probability else None
        routers = routers_of(layers)
        return dropout, Gating(routers) if routers else None


def stack(layers: Sequence[nn.Module], options: LoraOptions | None = None) -> DenseLinear:
    """The layers (of one input) as one product; their weights become views of one tensor, without a second copy."""
    bases = [base_of(layer) for layer in layers]
    adapters = adapters_of(layers)
    dropout, gating = (options or LoraOptions()).variant(layers)
    ranks = padded_ranks(adapters, gating.routers if gating else 0, bases[0].in_features)
    augmented = _joined([base.weight for base in bases], ranks)
    bias = bases[0].bias
    if bias is not None and len(bases) > 1:
        bias = _joined([base.bias for base in bases], 0)
    height = sum(base.out_features for base in bases)
    return DenseLinear(augmented, height, None if bias is None else bias.detach(), adapters, dropout, gating)


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
    if is_moe_lora(layer):
        return _unfused_mixture_reason(layer)
    if type(layer) is not LoraLinear and not _is_lora_on_4_bit(layer):
        return f"a {type(layer).__module__.rsplit('.', 1)[-1]} adapter"
    return _unfused_adapter_reason(layer)


def _unfused_adapter_reason(layer: Any) -> str | None:
    if len(layer.active_adapters) != 1 or layer.merged or layer.disable_adapters:
        return "an adapter that is merged, off, or one of several"
    name = layer.active_adapters[0]
    if name in layer.lora_variant and not has_dora(layer):
        return "another variant of LoRA than DoRA"
    if has_dora(layer) and dropout_of(layer):
        return "DoRA with dropout"
    if has_dora(layer) and isinstance(base_of(layer), Fp8Linear):
        return "DoRA over fp8"
    if name in layer.lora_A and (layer.lora_A[name].bias is not None or layer.lora_B[name].bias is not None):
        return "a LoRA with a bias"
    if name in layer.lora_dropout and not isinstance(layer.lora_dropout[name], nn.Identity | nn.Dropout):
        return "a LoRA dropout of another kind"
    return None


def _unfused_mixture_reason(layer: Any) -> str | None:
    if len(layer.active_adapters) != 1 or layer.disable_adapters:
        return "a MoE-LoRA that is off, or one of several"
    return None


def unfused_group_reason(layers: Sequence[nn.Module], backend: str) -> str | None:
    """Why layers of one input can't be one product, or None."""
    adapted = [layer for layer in layers if layer is not base_of(layer)]
    rates = {dropout_of(layer) for layer in adapted}
    mixtures = [layer for layer in adapted if is_moe_lora(layer)]
    if len(rates) > 1:
        return "layers of one input with different dropout"
    if len({has_dora(layer) for layer in layers}) > 1:
        return "layers of one input with and without DoRA"
    if backend == "reference" and any(map(has_dora, layers)):
        return "DoRA, for which there is no reference form"
    if mixtures and len(mixtures) < len(adapted):
        return "LoRA and MoE-LoRA on one input"
    shapes = {(router.experts, router.rank, router.top_k) for router in routers_of(layers)}
    if len(shapes) > 1:
        return "layers of one input with different mixtures"
    if backend == "reference" and (mixtures or any(rates)):
        return "dropout or MoE-LoRA, for which there is no reference form"
    return None


def has_dora(layer: Any) -> bool:
    adapted = layer is not base_of(layer) and not is_moe_lora(layer)
    return adapted and layer.active_adapters[0] in getattr(layer, "lora_magnitude_vector", {})


def with_dora(product: AugmentedLinear, layers: Sequence[Any], *, in_place: bool = False) -> FusedLinear:
    """The product scaled by the magnitudes of the layers' DoRA, `in_place` if it can be; itself where they have
    none."""
    if not has_dora(layers[0]):
        return product
    magnitudes = tuple(layer.lora_magnitude_vector[layer.active_adapters[0]].weight for layer in layers)
    bias, product.bias = product.bias, None
    return DoraLinear(product, magnitudes, bias, in_place=in_place)


def base_of(layer: nn.Module) -> nn.Linear:
    return layer.base_layer if isinstance(layer, BaseTunerLayer) else layer  # type: ignore[return-value]


def is_4_bit(layer: nn.Module) -> bool:
    """Whether its weight is bitsandbytes' `Linear4bit`."""
    return is_4_bit_layer(base_of(layer))


def is_moe_lora(layer: nn.Module) -> bool:
    """Whether it is a `adapters.moe_lora` layer, which is above this package."""
    return is_class(layer, "texlens.adapters.moe_lora.layer", "MoeLoraLayer")


def dropout_of(layer: Any) -> float:
    """The dropout probability of a layer's adapter; 0 without one."""
    if layer is base_of(layer):
        return 0.0
    modules = layer.moe_lora_dropout if is_moe_lora(layer) else layer.lora_dropout
    name = layer.active_adapters[0]
    return float(getattr(modules[name], "p", 0.0)) if name in modules else 0.0


def _is_lora_on_4_bit(layer: nn.Module) -> bool:
    return is_class(layer, "peft.tuners.lora.bnb", "Linear4bit")


def _unfused_base_reason(base: nn.Linear) -> str | None:
    if is_4_bit(base):
        return nf4_unsupported_reason(base.weight, getattr(base, "quant_state", None))
    if isinstance(base, Fp8Linear):
        return None
    if type(base) is not nn.Linear or not base.weight.is_floating_point() or base.weight.itemsize not in (2, 4, 8):
        return f"a {type(base).__name__} layer"
    return None


def adapters_of(layers: Sequence[nn.Module]) -> tuple[Adapter, ...]:
    adapters, row, column = [], 0, 0
    for layer in layers:
        height = base_of(layer).out_features
        for lora_a, lora_b, scaling in _parts(layer):
            adapters.append(
                Adapter(lora_a, lora_b, scaling, slice(row, row + height), slice(column, column + len(lora_a)))
            )
            column += len(lora_a)
        row += height
    return tuple(adapters)


def _parts(layer: Any) -> list[tuple[Tensor, Tensor, float]]:
    """LoRA A, LoRA B and scaling of a layer's adapter: none, one, or with a shared expert two."""
    if layer is base_of(layer):
        return []
    name = layer.active_adapters[0]
    kinds = ("lora_A", "lora_B"), ("moe_lora_A", "moe_lora_B"), ("moe_lora_shared_A", "moe_lora_shared_B")
    sides = [[getattr(layer, side, {}) for side in kind] for kind in kinds]
    return [(a[name].weight, b[name].weight, layer.scaling[name]) for a, b in sides if name in a]


def routers_of(layers: Sequence[nn.Module]) -> tuple[Router, ...]:
    """The routers of the MoE-LoRA of layers with one input; their rows are after those of all adapters."""
    mixtures: list[Any] = [layer for layer in layers if is_moe_lora(layer)]
    adapters = adapters_of(layers)
    row, routers = adapters[-1].columns.stop if adapters else 0, []
    for layer in mixtures:
        name = layer.active_adapters[0]
        lora_a, weight = layer.moe_lora_A[name].weight, layer.moe_lora_router[name].weight
        columns = next(adapter.columns for adapter in adapters if adapter.lora_a is lora_a)
        rows = slice(row, row + len(weight))
        top_k = layer.top_k[name]
        log = partial(_log_probabilities, layer, top_k)
        routers.append(Router(weight, columns, rows, layer.r[name], top_k, log))
        row = rows.stop
    return tuple(routers)


def _log_probabilities(layer: Any, top_k: int | None, chance: Tensor) -> None:
    if layer.router_log is not None and layer.training:
        dense = top_k is None or top_k == chance.shape[-1]
        layer.router_log.add(layer, chance, chance if dense else gates_of(chance, top_k)[0])


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
