"""Linear layers of one input as one product, with every adapter's update chosen row by row.

# T = rows, D = width in, N = width out, R = ranks of all adapters side by side, A = adapters, E = experts of a MoE-LoRA

The base weight is read where it is. Where the layers are not part of a larger tensor already (a model in training has
its own layout), their weights move into one tensor with the adapters' A matrices below, `[W; A]`, and the layers'
parameters become views of it: one product then gives the base's columns and all adapters' ranks.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from texlens.adapters.moe_lora.layer import keep_top
from texlens.inference.engine.layers.adapted_layer import Update, base_of, updates_of
from texlens.inference.engine.layers.weights import Scratch, compute_dtype, weight_of
from texlens.kernels.decode.lora import Product, RowLora

MULTIPLE = 8
"""Ranks are padded to a multiple of this, so that rows of 16-bit values begin at multiples of 16 bytes."""


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
        scratch: for weights in 4 or 8 bits; shared by all layers.
    """

    def __init__(self, layers: Sequence[nn.Module], adapters: Sequence[str | None], scratch: Scratch):
        self.layers, self.adapters = list(layers), list(adapters)
        bases = [base_of(layer) for layer in layers]
        self.heights = [base.out_features for base in bases]
        self.height, self.width = sum(self.heights), bases[0].in_features
        self._slots, self._sections = _slots(layers, self.adapters, self.heights)
        self.ranks = -(-self._sections[-1] // MULTIPLE) * MULTIPLE
        self.weight = weight_of(bases, self.ranks, scratch)
        device, dtype = _device(bases), compute_dtype(bases[0], scratch.dtype)
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
        columns, a_out = self.weight.products(x_TD)
        if not self.ranks:
            return Product(_plus(columns, self.bias_N))
        lora = RowLora(a_out, self.up_RN, self.gates_AR, adapter_T, self._sections)
        if any(slot.update.router is not None for slot in self._slots):
            lora = lora._replace(gates=self._routed_gates(x_TD, adapter_T), gate_row=_each_row(adapter_T))
        if self.factors_AN is not None:
            complete = Product(columns, lora).complete() * self.factors_AN[adapter_T]
            return Product(_plus(complete, self.bias_N))
        if self.bias_N is not None:
            columns += self.bias_N
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


def _each_row(adapter_T: Tensor) -> Tensor:
    return torch.arange(len(adapter_T), device=adapter_T.device, dtype=adapter_T.dtype)
