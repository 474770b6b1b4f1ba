"""What PEFT, or our MoE-LoRA, adds to a linear layer, in one form.

# N = width out, D = width in, R = rank, E = experts
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from peft.tuners.lora.layer import LoraLayer, ParamWrapper
from peft.utils.integrations import dequantize_module_weight
from torch import Tensor

from texlens.adapters.moe_lora.layer import MoeLoraLayer
from texlens.inference.engine.layers.weights import unsupported_weight
from texlens.models.fp8 import Fp8Linear


@dataclass(frozen=True)
class Update:
    """`scale * b a`, with `a` [R, D] and `b` [N, R].

    DoRA: `magnitude` [N] and the layer that it belongs to. MoE-LoRA: `router` [E, D] weighs the first `routed_ranks`
    ranks, a share for each expert; `top_k` of them count.
    """

    a: Tensor
    b: Tensor
    scale: float
    magnitude: Tensor | None = None
    layer: Any = None
    router: Tensor | None = None
    routed_ranks: int = 0
    top_k: int | None = None

    def factor(self) -> Tensor:
        """DoRA's factor [N]: magnitude over the norm of the adapted rows (Liu et al. 2024, arXiv:2402.09353)."""
        assert self.magnitude is not None
        weight_ND = _dense_weight(self.layer.get_base_layer())
        update_ND = self.scale * self.b.float() @ self.a.float()
        return self.magnitude.float() / (weight_ND.float() + update_ND).norm(dim=1)


def base_of(layer: Any) -> Any:
    return layer.get_base_layer() if isinstance(layer, LoraLayer | MoeLoraLayer) else layer


def updates_of(layer: Any, adapter: str | None) -> list[Update]:
    """None or one update of a layer by the adapter of this name."""
    if adapter is None:
        return []
    if isinstance(layer, MoeLoraLayer) and adapter in layer.moe_lora_A:
        return [_moe_update(layer, adapter)]
    if isinstance(layer, LoraLayer) and adapter in layer.lora_A:
        magnitudes = getattr(layer, "lora_magnitude_vector", {})
        magnitude = magnitudes[adapter].weight if adapter in magnitudes else None
        a, b = (cast(Tensor, part[adapter].weight) for part in (layer.lora_A, layer.lora_B))
        return [Update(a, b, layer.scaling[adapter], magnitude, layer)]
    return []


def unsupported_layer(layer: Any) -> str | None:
    """What keeps an adapted layer from the engine, or None."""
    if not isinstance(layer, LoraLayer | MoeLoraLayer):
        return unsupported_weight(layer)
    if layer.merged:
        return "an adapter is merged into the base"
    if isinstance(layer, LoraLayer) and not isinstance(layer, ParamWrapper):
        for name, b in layer.lora_B.items():
            if getattr(b, "bias", None) is not None:
                return f"adapter {name} has a bias"
        if any(getattr(layer, "lora_embedding_A", {})):
            return "an adapted embedding"
        variants = {type(variant).__name__ for variant in getattr(layer, "lora_variant", {}).values()}
        if odd := variants - {"DoraLinearVariant"}:
            return f"the LoRA variant {sorted(odd)[0]}"
        if variants and isinstance(base_of(layer), Fp8Linear):
            return "DoRA on a base in float8"
    return unsupported_weight(base_of(layer))


def _moe_update(layer: MoeLoraLayer, name: str) -> Update:
    a, b = layer.moe_lora_A[name].weight, layer.moe_lora_B[name].weight
    routed = len(a)
    if name in layer.moe_lora_shared_A:
        a = torch.cat([a, layer.moe_lora_shared_A[name].weight])
        b = torch.cat([b, layer.moe_lora_shared_B[name].weight], 1)
    router = layer.moe_lora_router[name].weight
    return Update(a, b, layer.scaling[name], router=router, routed_ranks=routed, top_k=layer.top_k[name])


def _dense_weight(base: Any) -> Tensor:
    return base.weight if base.weight.is_floating_point() else dequantize_module_weight(base)
