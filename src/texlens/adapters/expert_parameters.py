"""LoRA on a mixture's stacked experts, without materializing the update of a whole stack.

PEFT adapts a stacked parameter (`target_parameters`) by adding `B A` of every expert to the whole stack in each forward
pass: for Qwen3-VL-30B-A3B that is 600 million numbers a layer, whether an expert is used or not. Here PEFT's module
keeps its tensors, names and file format, and only its forward pass differs: tokens are sorted by expert, and each is
multiplied by its own expert's A and B.

    y_t = sum over t's experts e of  g_te (W_down_e h + s B'_e A'_e h),  h = act(gate) * up,
    [gate, up] = W_gate_up_e x_t + s B_e A_e x_t

`lora_A` is `[E R, I]` (expert by expert), `lora_B` is `[N, R E]` (rank by rank), as PEFT stores them. With one pair
for all experts they are `[R, I]` and `[N, R]`, under the same names.

# T = tokens, K = experts of a token, S = T K, E = experts, I = width in, N = width out, R = rank
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from peft.tuners.lora.layer import ParamWrapper
from torch import Tensor, nn

from texlens.kernels.experts.dispatch import ExpertOwners
from texlens.kernels.experts.grouped import grouped
from texlens.models.mixtures.experts import routed_forward, stack_product


class RoutedExperts(ParamWrapper):
    """PEFT's wrapper of the outermost adapted stack, with the forward pass of this file.

    `owners`: which process has which experts, where they are divided.
    """

    owners: ExpertOwners | None = None

    def forward(self, hidden_TI: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
        product = partial(_product, factors=_factors(self))
        return routed_forward(self.get_base_layer(), self.owners, hidden_TI, top_k_index, top_k_weights, product)


class LoraFactors:
    """One expert parameter's A `[E, R, I]` and B `[E, N, R]` (E is 1 if experts share them), and the scale."""

    def __init__(self, wrapper: ParamWrapper, name: str, experts: int):
        a, b = lora_weights(wrapper, name)
        rank = wrapper.r[name]
        count = a.shape[0] // rank
        self.a = a.reshape(count, rank, a.shape[1])
        self.b = b.reshape(b.shape[0], rank, count).permute(2, 0, 1)
        self.scale = wrapper.scaling[name]
        self.shared = count == 1 and experts > 1
        owners: ExpertOwners | None = getattr(wrapper, "owners", None)
        if owners is not None and not self.shared:
            self.a, self.b = self.a[owners.experts], self.b[owners.experts]

    def update(self, x: Tensor, ends_E: Tensor) -> Tensor:
        a, b = self.a.to(x.dtype), self.b.to(x.dtype).contiguous()  # grouped_mm rejects B's strides
        if self.shared:
            return self.scale * (x @ a[0].T) @ b[0].T
        return self.scale * grouped(grouped(x, a, ends_E), b, ends_E)


def route_experts(model: nn.Module, *, shared: bool = False) -> int:
    """Replaces the forward pass of every expert parameter that PEFT wrapped; returns the number of expert modules.

    Args:
        shared: one pair of matrices for all experts of a parameter, with new initial weights.
    """
    wrapped = [
        (parent, name, module)
        for parent in model.modules()
        for name, module in parent.named_children()
        if type(module) is ParamWrapper and not isinstance(parent, ParamWrapper)
    ]
    for parent, name, wrapper in wrapped:
        if shared:
            for inner in _nested(wrapper):
                _share(inner)
        setattr(parent, name, _routed(wrapper))
    return len(wrapped)


def shares_experts(header: Mapping[str, dict], settings: Mapping) -> bool:
    """Whether a saved adapter (its safetensors header and settings) has one pair for all experts of a parameter."""
    names = [name for name in header if re.search(r"\.experts(\.base_layer)*\.lora_A\.weight$", name)]
    ranks = {settings["r"], *(settings.get("rank_pattern") or {}).values()}
    return bool(names) and all(header[name]["shape"][0] in ranks for name in names)


def _routed(wrapper: ParamWrapper) -> RoutedExperts:
    """The same module with the same tensors, as the class of this file."""
    routed = RoutedExperts.__new__(RoutedExperts)
    routed.__dict__.update(wrapper.__dict__)
    return routed


def _nested(wrapper: Any) -> list[ParamWrapper]:
    """PEFT wraps a module once for each of its adapted parameters, one wrapper inside the other."""
    wrappers = []
    while isinstance(wrapper, ParamWrapper):
        wrappers.append(wrapper)
        wrapper = wrapper.base_layer
    return wrappers


def _factors(outer: ParamWrapper) -> dict[str, LoraFactors]:
    if outer.disable_adapters or outer.merged:
        return {}
    return {
        wrapper.parameter_name: LoraFactors(wrapper, name, wrapper.num_experts)
        for wrapper in _nested(outer)
        for name in wrapper.active_adapters
        if name in wrapper.lora_A
    }


def _share(wrapper: ParamWrapper) -> None:
    """Replaces one A and B for each expert by one A and B for all."""
    for name in list(wrapper.lora_A):
        rank, (a, b) = wrapper.r[name], lora_weights(wrapper, name)
        wrapper.lora_A[name] = _like(a, rank, a.shape[1])
        wrapper.lora_B[name] = _like(b, b.shape[0], rank)
        for factor, start in zip(lora_weights(wrapper, name), (_kaiming, nn.init.zeros_), strict=True):
            start(factor)


def lora_weights(wrapper: Any, name: str) -> tuple[Tensor, Tensor]:
    """A and B of one adapter of a wrapper, as PEFT stores them."""
    return wrapper.lora_A[name].weight, wrapper.lora_B[name].weight


def _kaiming(weight: Tensor) -> Tensor:
    """PEFT's initial A."""
    return nn.init.kaiming_uniform_(weight, a=5**0.5)


def _like(weight: Tensor, outputs: int, inputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=False, device=weight.device, dtype=weight.dtype)
    return layer.requires_grad_(weight.requires_grad)


def _product(experts: Any, name: str, x: Tensor, ends_E: Tensor, factors: Mapping[str, LoraFactors]) -> Tensor:
    y = stack_product(experts, name, x, ends_E)
    return y if name not in factors else y + factors[name].update(x, ends_E).to(y.dtype)
