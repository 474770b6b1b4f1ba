"""Codes of quantized weights, divided among processes: each keeps its rows, and FSDP gathers them all.

FSDP gets them as float32, four bytes a value: torch 2.11's takes parameters of floating point alone. Nothing computes
with these values, many of which are NaN. Types of 16 and 8 bits would not do: on a GPU `_foreach_copy_` takes them
through float32, which makes all NaN the same (H200, torch 2.11, 2026-12-01).

Scales are whole in every process: they are 3% of NF4's codes, and less of fp8's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from texlens.models.fp8 import Fp8Linear
from texlens.models.mixtures.experts import Fp8Stack, Nf4Stack
from texlens.models.module_kinds import is_4_bit_layer
from texlens.models.sharding.division import Division
from texlens.models.sharding.weights import chunk, stock_name
from texlens.models.weight_rows.placeholders import is_placeholder
from texlens.models.weight_rows.rows import WeightRows


@dataclass(frozen=True)
class Codes:
    """The codes of a quantized weight: an attribute of a module, whose name in the stock model is `name`."""

    module: Any
    attribute: str
    name: str

    @property
    def tensor(self) -> Tensor:
        return getattr(self.module, self.attribute)

    def replace(self, tensor: Tensor) -> None:
        """By a buffer, or by a parameter of bitsandbytes' kind where that was one."""
        if is_4_bit_layer(self.module):
            self.module.weight = _like(self.module.weight, tensor)
        else:
            setattr(self.module, self.attribute, tensor)

    def to_parameter(self, values: Tensor) -> nn.Parameter:
        """Replaces the codes by a parameter for FSDP: `values` of `as_words`."""
        parameter = nn.Parameter(values, requires_grad=False)
        if is_4_bit_layer(self.module):
            self.module.quant_state = self.module.weight.quant_state
            self.module.support_avx512bf16_for_cpu = False  # it would write over gathered bytes, in another order
            self.module.weight = parameter
        else:
            delattr(self.module, self.attribute)
            self.module.register_parameter(self.attribute, parameter)
        return parameter


def codes_of_layer(layer: nn.Module, prefix: str, *, stacks: bool = True) -> Iterator[Codes]:
    """Of a decoder layer, adapted or not.

    Args:
        prefix: the layer's name in the stock model.
        stacks: of experts too.
    """
    for name, module in list(layer.named_modules()):
        for attribute in _attributes(module, stacks=stacks):
            yield Codes(module, attribute, stock_name(f"{prefix}.{name}.{attribute}"))


def _attributes(module: Any, *, stacks: bool) -> tuple[str, ...]:
    if is_4_bit_layer(module):
        return ("weight",)
    if isinstance(module, Fp8Linear):
        return ("codes", "back_codes")
    if stacks and isinstance(module, Fp8Stack | Nf4Stack):
        return ("codes",) if isinstance(module, Fp8Stack) else ("packed",)
    return ()


class CodeRows:
    """See `rows.WeightRows`: this process's rows of codes, which were quantized with all others and kept; other weights
    come from `rows_of`."""

    def __init__(self, division: Division, rows_of: WeightRows):
        self.division, self.rows_of = division, rows_of
        self._rows: dict[str, Tensor] = {}

    def keep(self, layer: nn.Module, prefix: str) -> None:
        """Leaves placeholders in a layer that is quantized as a whole."""
        for codes in codes_of_layer(layer, prefix, stacks=not self.division.experts):
            tensor, whole = codes.tensor, as_words(codes.tensor)
            rows = chunk(len(whole), self.division.rank, self.division.processes)
            self._rows[codes.name] = whole[rows].clone()
            zero = torch.zeros((), dtype=torch.uint8, device=tensor.device)
            codes.replace(zero.expand(tensor.shape).view(tensor.dtype))

    def __call__(self, name: str, rows: slice) -> Tensor:
        """A process asks once for the rows that it keeps."""
        return self._rows.pop(name) if name in self._rows else self.rows_of(name, rows)


def as_words(tensor: Tensor) -> Tensor:
    """The same bytes as float32; a column stays one, as bitsandbytes wants it."""
    values = tensor.detach().contiguous().view(torch.uint8)
    if values.ndim == 2 and values.shape[1] == 1:
        return values.view(-1).view(torch.float32).view(-1, 1)
    return values.view(torch.float32)


def code_parameters(layer: nn.Module, prefix: str, division: Division, rows_of: WeightRows) -> Iterator[nn.Parameter]:
    """The codes of a layer as parameters that FSDP divides; of placeholders, the rows that this process keeps."""
    for codes in codes_of_layer(layer, prefix, stacks=not division.experts):
        values = codes.tensor
        if is_placeholder(values):
            whole = as_words(torch.empty(values.shape, dtype=torch.uint8, device=values.device))
            rows = chunk(len(whole), division.rank, division.processes)
            whole[rows] = rows_of(codes.name, rows)
        else:
            whole = as_words(values)
        yield codes.to_parameter(whole)


def _like(old: Any, data: Tensor) -> Any:
    """bitsandbytes' parameter with other bytes."""
    options = {"blocksize": old.blocksize, "compress_statistics": old.compress_statistics, "quant_type": old.quant_type}
    options |= {"quant_state": old.quant_state, "quant_storage": old.quant_storage, "module": old.module}
    return type(old)(data, requires_grad=False, bnb_quantized=True, **options)
