"""The adapters' share of a product whose rows belong to several adapters.

# T = rows, N = width out, R = ranks of all adapters side by side, A = adapters (the base counts as one)

A product of a row x with all adapters at once is `W x` and `A x`: N columns of the base and R columns of the adapters'
A matrices. The columns of other adapters than the row's are set to 0 by `gates`, so that a batch may mix adapters.
LoRA: Hu et al. 2021, arXiv:2106.09685; several adapters in one batch: Chen et al. 2023 (Punica), arXiv:2310.18547.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class RowLora(NamedTuple):
    """`a_out` [T, R] is x times every adapter's A, without gates; `up` [R, N] every adapter's B with its scale,
    transposed.

    Row t takes the gates `gates[gate_row[t]]`; `gates` is [A, R].

    `sections` has the first rank of each of the stacked layers (q, k and v, say), and the end: the ranks between two of
    them change that layer's columns alone.
    """

    a_out: Tensor
    up: Tensor
    gates: Tensor
    gate_row: Tensor
    sections: tuple[int, ...]

    @property
    def ranks(self) -> int:
        return len(self.up)

    def gated(self) -> Tensor:
        """[T, R]: each row's own ranks, 0 elsewhere."""
        return self.a_out * self.gates[self.gate_row]


class Product(NamedTuple):
    """A product's columns `[T, N]` of the base (rows may be strided), and what the adapters add to them."""

    columns: Tensor
    lora: RowLora | None = None

    def complete(self) -> Tensor:
        """`[T, N]` with the adapters' share added."""
        if self.lora is None:
            return self.columns
        return torch.addmm(self.columns, self.lora.gated(), self.lora.up)
