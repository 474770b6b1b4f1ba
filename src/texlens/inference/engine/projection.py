"""Linear layers of one input as one product, with every adapter's update chosen row by row.

# T = rows, D = width in, N = width out, R = ranks of all adapters side by side, A = adapters, E = experts of a MoE-LoRA

The base weight is read where it is. Where the layers are not part of a larger tensor already (a model in training has
its own layout), their weights move into one tensor with the adapters' A matrices below, `[W; A]`, and the layers'
parameters become views of it: one product then gives the base's columns and all adapters' ranks.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional

from texlens.adapters.moe_lora.layer import keep_top
from texlens.inference.engine.adapted_layer import Update, base_of, updates_of
from texlens.kernels.decode.lora import Product, RowLora
from texlens.kernels.fp8.quantize import quantize_rows
from texlens.models.fp8 import Fp8Linear

MULTIPLE = 8
"""Ranks are padded to a multiple of this, so that rows of 16-bit values begin at multiples of 16 bytes."""


_MOVED: WeakKeyDictionary[nn.Module, Tensor] = WeakKeyDictionary()
"""Of the first of stacked layers, the tensor that an engine has moved the layers' weights into. One engine at a time
may use a model: a second one with other adapters writes its A matrices into the same rows."""


class Weight(Protocol):
    """A base's weight."""

    def columns(self, x_TD: Tensor) -> Tensor:
        """[T, N + R]: the base's columns, then x times the A matrices."""
        ...

    def write_a(self, a_RD: Tensor) -> None:
        """Replaces the A matrices."""
        ...


class _Slot(NamedTuple):
    """Where one adapter's update of one layer is in the stacked product."""

    adapter: int
    update: Update
    layer: nn.Module
    rows: slice
    columns: slice


class Projection:
    """
    Args:
        layers: of one input, adapted or not.
        adapters: PEFT's names, in the order of their numbers; None is the base.
    """

    def __init__(self, layers: Sequence[nn.Module], adapters: Sequence[str | None]):
        self.layers, self.adapters = list(layers), list(adapters)
        bases = [base_of(layer) for layer in layers]
        self.heights = [base.out_features for base in bases]
        self.height, self.width = sum(self.heights), bases[0].in_features
        self._slots, self._sections = _slots(layers, self.adapters, self.heights)
        self.ranks = -(-self._sections[-1] // MULTIPLE) * MULTIPLE
        self.weight = _weight(bases, self.ranks)
        device, dtype = _device(bases), compute_dtype(bases[0])
        self.up_RN = torch.zeros(self.ranks, self.height, dtype=dtype, device=device)
        self.gates_AR = torch.zeros(len(self.adapters), self.ranks, dtype=dtype, device=device)
        self.factors_AN: Tensor | None = None
        self.bias_N = _stacked_bias(bases, dtype)
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Reads the adapters again: training may have changed them. Tensors keep their addresses."""
        if not self.ranks:
            return
        a_RD = self.up_RN.new_zeros(self.ranks, self.width)
        self._slots = [slot._replace(update=self._update_of(slot)) for slot in self._slots]
        for slot in self._slots:
            update = slot.update
            a_RD[slot.columns] = update.a.to(a_RD.dtype)
            self.up_RN[slot.columns, slot.rows] = (update.b.float() * update.scale).T.to(self.up_RN.dtype)
            self.gates_AR[slot.adapter, slot.columns] = 1
        self.weight.write_a(a_RD)
        if any(slot.update.magnitude is not None for slot in self._slots):
            self._refresh_factors()

    def _update_of(self, slot: _Slot) -> Update:
        return updates_of(slot.layer, self.adapters[slot.adapter])[0]

    def product(self, x_TD: Tensor, adapter_T: Tensor) -> Product:
        """The product of x with its rows' adapters; complete where the kernels can't add the adapters' share."""
        columns = self.weight.columns(x_TD)
        if not self.ranks:
            return Product(_plus(columns, self.bias_N))
        lora = RowLora(self.up_RN, self.gates_AR, adapter_T, self._sections)
        if any(slot.update.router is not None for slot in self._slots):
            lora = lora._replace(gates=self._routed_gates(x_TD, adapter_T), gate_row=_each_row(adapter_T))
        if self.factors_AN is not None:
            complete = Product(columns, lora).complete() * self.factors_AN[adapter_T]
            return Product(_plus(complete, self.bias_N))
        if self.bias_N is not None:
            columns[:, : self.height] += self.bias_N
        return Product(columns, lora)

    def _routed_gates(self, x_TD: Tensor, adapter_T: Tensor) -> Tensor:
        """[T, R]: the gates of each row, those of a MoE-LoRA by its router."""
        gates_TR = self.gates_AR[adapter_T]
        for slot in self._slots:
            update, start = slot.update, slot.columns.start
            if update.router is None:
                continue
            probabilities_TE = functional.linear(x_TD.float(), update.router.float()).softmax(-1)
            weights_TE = keep_top(probabilities_TE, update.top_k).to(gates_TR.dtype)
            routed = slice(start, start + update.routed_ranks)
            gates_TR[:, routed] *= weights_TE.repeat_interleave(update.routed_ranks // weights_TE.shape[1], -1)
        return gates_TR

    def _refresh_factors(self) -> None:
        """DoRA: what each adapter multiplies the base's and its own columns with."""
        factors_AN = self.up_RN.new_ones(len(self.adapters), self.height)
        for slot in self._slots:
            if slot.update.magnitude is not None:
                factors_AN[slot.adapter, slot.rows] = slot.update.factor().to(factors_AN.dtype)
        if self.factors_AN is None:
            self.factors_AN = factors_AN
        else:
            self.factors_AN.copy_(factors_AN)


class DenseWeight:
    """Weights of 16 or 32 bits; `[W; A]` as one tensor where the layers may move, else A alone."""

    def __init__(self, bases: Sequence[Any], ranks: int):
        self.height = sum(base.out_features for base in bases)
        weights = [base.weight for base in bases]
        joined = joined_view(weights)
        before = _MOVED.get(bases[0])
        is_ours = before is not None and before.data_ptr() == weights[0].data_ptr()
        may_move = is_ours or all(owns_its_storage(weight) for weight in weights)
        if before is not None and is_ours and len(before) >= self.height + ranks:
            self._all, self._a_RD = before[: self.height + ranks], None
        elif may_move and (ranks or joined is None):
            self._all, self._a_RD = _moved(weights, ranks), None
            _MOVED[bases[0]] = self._all
        else:
            self._parts = weights if joined is None else [joined]
            self._all = joined if len(self._parts) == 1 else None
            self._a_RD = weights[0].new_zeros(ranks, weights[0].shape[1]) if ranks else None

    def columns(self, x_TD: Tensor) -> Tensor:
        if self._a_RD is None and self._all is not None:
            return x_TD @ self._all.T
        parts = [self._all] if self._all is not None else [part.detach() for part in self._parts]
        return torch.cat([x_TD @ part.T for part in [*parts, *([] if self._a_RD is None else [self._a_RD])]], -1)

    def write_a(self, a_RD: Tensor) -> None:
        if self._a_RD is not None:
            self._a_RD.copy_(a_RD)
        elif self._all is not None:
            self._all[self.height :] = a_RD


class Fp8Weight:
    """Weights in float8: rows of x are quantized once for all layers; A stays in 16 bits."""

    def __init__(self, bases: Sequence[Fp8Linear], ranks: int):
        self._bases = list(bases)
        self._a_RD = torch.zeros(
            ranks, bases[0].in_features, dtype=bases[0].compute_dtype, device=bases[0].weight.device
        )

    def columns(self, x_TD: Tensor) -> Tensor:
        quantized, scale = quantize_rows(x_TD)
        parts = [_without_bias(base.product(quantized, scale), base) for base in self._bases]
        return _beside(parts, x_TD, self._a_RD)

    def write_a(self, a_RD: Tensor) -> None:
        self._a_RD.copy_(a_RD)


class PackedWeight:
    """Weights that another library holds in 4 or 8 bits: its own product, without the bias; A stays in 16 bits."""

    def __init__(self, bases: Sequence[nn.Module], ranks: int):
        self._bases: list[Any] = list(bases)
        dtype = compute_dtype(bases[0])
        self._a_RD = torch.zeros(ranks, self._bases[0].in_features, dtype=dtype, device=self._bases[0].weight.device)

    def columns(self, x_TD: Tensor) -> Tensor:
        parts = [_without_bias(base(x_TD), base) for base in self._bases]
        return _beside(parts, x_TD, self._a_RD)

    def write_a(self, a_RD: Tensor) -> None:
        self._a_RD.copy_(a_RD)


def _weight(bases: Sequence[Any], ranks: int) -> Weight:
    if all(isinstance(base, Fp8Linear) for base in bases):
        return Fp8Weight(bases, ranks)
    if all(type(base) is nn.Linear for base in bases):
        return DenseWeight(bases, ranks)
    return PackedWeight(bases, ranks)


def _slots(
    layers: Sequence[nn.Module], adapters: Sequence[str | None], heights: Sequence[int]
) -> tuple[list[_Slot], tuple[int, ...]]:
    """Every update of every layer, and the first rank of each layer and the end."""
    slots, sections, row, column = [], [0], 0, 0
    for layer, height in zip(layers, heights, strict=True):
        for number, name in enumerate(adapters):
            for update in updates_of(layer, name):
                columns = slice(column, column + len(update.a))
                slots.append(_Slot(number, update, layer, slice(row, row + height), columns))
                column = columns.stop
        row += height
        sections.append(column)
    return slots, tuple(sections)


def compute_dtype(base: Any) -> torch.dtype:
    """The type of a base layer's results."""
    if isinstance(base, Fp8Linear):
        return base.compute_dtype
    if base.weight.is_floating_point():
        return base.weight.dtype
    return getattr(base, "compute_dtype", None) or torch.float16


def _device(bases: Sequence[Any]) -> torch.device:
    return bases[0].weight.device


def _stacked_bias(bases: Sequence[Any], dtype: torch.dtype) -> Tensor | None:
    if all(base.bias is None for base in bases):
        return None
    parts = [
        base.bias.detach() if base.bias is not None else torch.zeros(base.out_features, device=base.weight.device)
        for base in bases
    ]
    return torch.cat(parts).to(dtype)


def _plus(columns: Tensor, bias_N: Tensor | None) -> Tensor:
    return columns if bias_N is None else columns + bias_N


def _without_bias(columns: Tensor, base: Any) -> Tensor:
    return columns if base.bias is None else columns - base.bias


def _each_row(adapter_T: Tensor) -> Tensor:
    return torch.arange(len(adapter_T), device=adapter_T.device, dtype=adapter_T.dtype)


def _beside(parts: list[Tensor], x_TD: Tensor, a_RD: Tensor) -> Tensor:
    if len(a_RD):
        parts = [*parts, x_TD.to(a_RD.dtype) @ a_RD.T]
    return parts[0] if len(parts) == 1 else torch.cat(parts, -1)


def owns_its_storage(weight: Tensor) -> bool:
    """Whether the weight is all of its storage, and no view of a larger tensor that somebody else laid out."""
    return weight.untyped_storage().nbytes() == weight.numel() * weight.element_size()


def joined_view(weights: Sequence[Tensor]) -> Tensor | None:
    """One view of weights that are below each other in one storage already, or None."""
    first = weights[0]
    at = first.data_ptr()
    for weight in weights:
        if weight.data_ptr() != at or weight.stride() != first.stride():
            return None
        at += len(weight) * weight.stride(0) * weight.element_size()
    if len(weights) > 1 and len({weight.untyped_storage().data_ptr() for weight in weights}) > 1:
        return None
    return first.detach().as_strided((sum(map(len, weights)), first.shape[1]), first.stride())


@torch.no_grad()
def _moved(weights: Sequence[Tensor], ranks: int) -> Tensor:
    """One tensor of all weights below each other and `ranks` rows of zeros, of which the weights become views."""
    rows = sum(map(len, weights))
    joined = weights[0].new_zeros(rows + ranks, weights[0].shape[1])
    start = 0
    for weight in weights:
        joined[start : start + len(weight)] = weight
        weight.data = joined[start : start + len(weight)]
        start += len(weight)
    return joined
