"""A mixture of experts as grouped products, with every adapter's update of the stacks chosen row by row.

# T = rows, K = experts of a row, S = T K pairs of row and expert, E = experts, D = width in, N = width out
# R = rank, A = adapters, F = width of an expert

Pairs are sorted by expert on the device; nothing is read back, so that a step can be part of a CUDA graph.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from peft.tuners.lora.layer import ParamWrapper
from torch import Tensor
from torch.nn import functional

from texlens.adapters.expert_parameters import LoraFactors
from texlens.inference.engine.layers.adapted_layer import base_of
from texlens.inference.engine.layers.projection import Projection
from texlens.inference.engine.layers.weights import Scratch
from texlens.kernels.experts.quantized import quantized_grouped
from texlens.models.mixtures.experts import quantized_stack

ALIGNED_BYTES = 16
"""torch's grouped product wants rows that begin at multiples of this."""


class _StackUpdate(NamedTuple):
    """One adapter's update of one stack: a [E, R, D], b [E, N, R] with the scale (E is 1 where experts share them)."""

    adapter: int
    a: Tensor
    b: Tensor


class Experts:
    """
    Args:
        block: the sparse block of a decoder layer (router and stacked experts, adapted or not).
        adapters: PEFT's names, in the order of their numbers; None is the base.
    """

    def __init__(self, block: Any, adapters: Sequence[str | None]):
        self._router, self._adapters = block.gate, list(adapters)
        self._wrappers = _wrappers(block.experts)
        self._experts: Any = self._wrappers[0].get_base_layer() if self._wrappers else block.experts
        self._updates: dict[str, list[_StackUpdate]] = {}
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Reads the adapters again; tensors keep their addresses."""
        for wrapper in self._wrappers:
            stack = getattr(self._experts, wrapper.parameter_name)
            updates = [
                _stack_update(wrapper, number, name, stack.dtype)
                for number, name in enumerate(self._adapters)
                if name in wrapper.lora_A
            ]
            for old, new in zip(self._updates.get(wrapper.parameter_name, ()), updates, strict=False):
                old.a.copy_(new.a)
                old.b.copy_(new.b)
            self._updates.setdefault(wrapper.parameter_name, updates)

    def __call__(self, x_TD: Tensor, adapter_T: Tensor) -> Tensor:
        """What the row's experts make of it, weighed by the router, [T, D]."""
        _, weights_TK, chosen_TK = self._router(x_TD)
        choices = chosen_TK.shape[1]
        expert_S, order_S = chosen_TK.flatten().sort(stable=True)
        ends_E = torch.searchsorted(expert_S, torch.arange(self._experts.num_experts, device=x_TD.device), right=True)
        pairs = _Pairs(expert_S, ends_E.int(), adapter_T[order_S // choices])
        gate_up = self._product("gate_up_proj", x_TD[order_S // choices], pairs)
        gate, up = gate_up.chunk(2, -1)
        y_SD = self._product("down_proj", self._experts.act_fn(gate) * up, pairs)
        y_SD = y_SD * weights_TK.flatten()[order_S, None]
        return torch.empty_like(y_SD).index_copy_(0, order_S, y_SD).unflatten(0, chosen_TK.shape).sum(1).to(x_TD.dtype)

    def _product(self, name: str, x_SD: Tensor, pairs: "_Pairs") -> Tensor:
        y_SN = self._base_product(name, x_SD, pairs)
        for update in self._updates.get(name, ()):
            hidden_SR = _times(x_SD, update.a, pairs) * (pairs.adapter == update.adapter)[:, None]
            y_SN = y_SN + _times(hidden_SR.to(x_SD.dtype), update.b, pairs)
        return y_SN

    def _base_product(self, name: str, x_SD: Tensor, pairs: "_Pairs") -> Tensor:
        stack = quantized_stack(self._experts, name)
        if stack is not None:
            return quantized_grouped(x_SD.to(getattr(self._experts, name).dtype), stack, pairs.ends)
        return grouped(x_SD, getattr(self._experts, name), pairs)


class DenseMlp:
    """Gate, up and down products of a dense layer."""

    def __init__(self, mlp: Any, adapters: Sequence[str | None], scratch: Scratch):
        self.gate_up = Projection((mlp.gate_proj, mlp.up_proj), adapters, scratch)
        self.down = Projection((mlp.down_proj,), adapters, scratch)

    def refresh(self) -> None:
        self.gate_up.refresh()
        self.down.refresh()


class _Pairs(NamedTuple):
    """Pairs of row and expert, sorted by expert; expert e's end at `ends_E[e]`."""

    expert: Tensor
    ends: Tensor
    adapter: Tensor


def grouped(x_SD: Tensor, weight_END: Tensor, pairs: _Pairs) -> Tensor:
    """Each pair times its expert's weight: one grouped product where torch has it, else a loop over the experts used.

    Within a CUDA graph, which can't know what is used, the loop is a product with every expert.
    """
    if x_SD.is_cuda and _aligned(x_SD, weight_END):
        return functional.grouped_mm(x_SD, weight_END.transpose(-2, -1), offs=pairs.ends)
    if x_SD.is_cuda and torch.cuda.is_current_stream_capturing():
        return (x_SD @ weight_END.transpose(-2, -1))[pairs.expert, torch.arange(len(x_SD), device=x_SD.device)]
    return _grouped_loop(x_SD, weight_END, pairs)


def _grouped_loop(x_SD: Tensor, weight_END: Tensor, pairs: _Pairs) -> Tensor:
    pieces, start = [], 0
    for expert, end in enumerate(pairs.ends.tolist()):
        if end > start:
            pieces.append(x_SD[start:end] @ weight_END[expert].T)
        start = end
    return torch.cat(pieces)


def _times(x_SD: Tensor, weight_END: Tensor, pairs: _Pairs) -> Tensor:
    return x_SD @ weight_END[0].T if len(weight_END) == 1 else grouped(x_SD, weight_END, pairs)


def _aligned(x: Tensor, weight: Tensor) -> bool:
    aligned = all(width * x.element_size() % ALIGNED_BYTES == 0 for width in weight.shape[-2:])
    return aligned and x.dtype == weight.dtype == torch.bfloat16


def _wrappers(experts: Any) -> list[Any]:
    """PEFT's wrappers of the adapted stacks, one in the other."""
    wrappers = []
    while isinstance(experts, ParamWrapper):
        wrappers.append(experts)
        experts = experts.base_layer
    return wrappers


def _stack_update(wrapper: Any, number: int, name: str | None, dtype: torch.dtype) -> _StackUpdate:
    factors = LoraFactors(wrapper, str(name), wrapper.num_experts)
    b_ENR = (factors.b.float() * factors.scale).to(dtype).contiguous()
    return _StackUpdate(number, factors.a.detach().to(dtype).clone(), b_ENR)


def is_mixture(mlp: Any) -> bool:
    """Whether a decoder layer's MLP is a mixture of experts."""
    return not hasattr(base_of(mlp), "gate_proj")
