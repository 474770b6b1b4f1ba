"""A mixture's stacked experts in float8 or NF4, each weight stored once, and written out just before its product.

The stock module's parameters stay as placeholders of their shape that take no memory and are NaN, so that nothing
computes with them unnoticed; PEFT reads shapes and devices from them.

# E = experts, N = width out, D = width in, S = pairs of token and expert
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from texlens.core.errors import ModelError
from texlens.kernels.experts.dispatch import ExpertOwners
from texlens.kernels.experts.grouped import grouped
from texlens.kernels.experts.quantized import quantized_product
from texlens.kernels.experts.routing import sort_by_expert
from texlens.kernels.fp8 import dequantize as fp8
from texlens.kernels.fp8.format import FP8_DTYPE
from texlens.kernels.fp8.quantize import quantize_rows
from texlens.kernels.nf4 import dequantize as nf4
from texlens.kernels.nf4.format import Nf4Weight, QuantizedScales
from texlens.kernels.nf4.reference import block_scales
from texlens.models.families.expert_stacks import STACKS
from texlens.models.weight_rows.placeholders import placeholder

NF4_BLOCK, NF4_GROUP = 64, 256
"""Values with one scale, and scales with one scale of their own, as bitsandbytes has them by default."""


class QuantizedStackModule(nn.Module):
    """See `kernels.experts.quantized.QuantizedStack`. What is stored are buffers outside of the state dict: they are
    computed again from the checkpoint."""

    def __init__(self, shape: torch.Size | tuple[int, ...], **stored: Tensor | None):
        super().__init__()
        experts, height, width = shape
        self.shape = experts, height, width
        for name, tensor in stored.items():
            self.register_buffer(name, tensor, persistent=False)

    def write(self, out: Tensor, experts: Tensor | None = None) -> None:
        raise NotImplementedError

    def part(self, experts: slice) -> "QuantizedStackModule":
        """A copy of some experts, with the same values."""
        raise NotImplementedError

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.buffers())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "QuantizedStackModule":
        """Follows to another device; stays as stored where the model's type is changed."""
        for name, tensor in self._buffers.items():
            if tensor is not None:
                self._buffers[name] = tensor.to(fn(tensor.new_zeros(1, dtype=torch.float32)).device)
        return self


class Fp8Stack(QuantizedStackModule):
    """`codes` [E, N, D] times the `scale` [E, N] of their rows."""

    codes: Tensor
    scale: Tensor

    @classmethod
    def of(cls, stack: Float[Tensor, "E N D"]) -> "Fp8Stack":
        """The stack in float8, quantized by rows."""
        codes, scale = quantize_rows(stack.flatten(0, 1))
        return cls(stack.shape, codes=codes.view(stack.shape), scale=scale.view(stack.shape[:2]))

    @classmethod
    def empty(cls, shape: torch.Size, device: torch.device) -> "Fp8Stack":
        """One without values, for plans."""
        scale = torch.empty(shape[:2], dtype=torch.float32, device=device)
        return cls(shape, codes=torch.empty(shape, dtype=FP8_DTYPE, device=device), scale=scale)

    def write(self, out: Tensor, experts: Tensor | None = None) -> None:
        if not out.is_meta:
            fp8.dequantize_experts(self.codes.view(FP8_DTYPE), self.scale, out, experts)

    def part(self, experts: slice) -> "Fp8Stack":
        codes = self.codes[experts].clone()
        return Fp8Stack(codes.shape, codes=codes, scale=self.scale[experts].clone())


class Nf4Stack(QuantizedStackModule):
    """In the format of bitsandbytes, see `kernels.nf4.format`; `nested_…` are None without double quantization."""

    packed: Tensor
    scales: Tensor
    values: Tensor
    nested_values: Tensor | None
    nested_scales: Tensor | None
    nested_offset: Tensor | None

    @classmethod
    def of(cls, stack: Float[Tensor, "E N D"], *, double: bool = True) -> "Nf4Stack":
        """The stack in NF4, with quantized scales if `double`.

        Raises:
            ModelError: experts that are not whole blocks.
        """
        from bitsandbytes.functional import quantize_4bit

        _check_blocks(stack.shape)
        rows = stack.flatten(0, 1).contiguous()
        packed, state = quantize_4bit(rows, blocksize=NF4_BLOCK, compress_statistics=double, quant_type="nf4")
        nested = {}
        if double:
            second = state.state2
            nested = {"nested_values": second.code, "nested_scales": second.absmax, "nested_offset": state.offset}
        return cls(stack.shape, packed=packed.flatten(), scales=state.absmax, values=state.code, **nested)

    @classmethod
    def empty(cls, shape: torch.Size, device: torch.device, *, double: bool = True) -> "Nf4Stack":
        """One without values, for plans."""
        _check_blocks(shape)
        blocks = math.prod(shape) // NF4_BLOCK

        def floats(*size: int) -> Tensor:
            return torch.empty(size, dtype=torch.float32, device=device)

        def codes(*size: int) -> Tensor:
            return torch.empty(size, dtype=torch.uint8, device=device)

        nested = {}
        if double:
            groups = -(-blocks // NF4_GROUP)
            nested = {"nested_values": floats(256), "nested_scales": floats(groups), "nested_offset": floats(1)}
        scales = codes(blocks) if double else floats(blocks)
        return cls(shape, packed=codes(math.prod(shape) // 2), scales=scales, values=floats(16), **nested)

    def __init__(self, shape: torch.Size | tuple[int, ...], **stored: Tensor | None):
        super().__init__(shape, **{"nested_values": None, "nested_scales": None, "nested_offset": None} | stored)

    def write(self, out: Tensor, experts: Tensor | None = None) -> None:
        if not out.is_meta:
            nf4.dequantize_experts(self._weight(out.dtype), out, experts)

    def part(self, experts: slice) -> "Nf4Stack":
        """Where the experts don't begin with a group of quantized scales, the part has plain ones."""
        count, height, width = self.shape
        first, last, _ = experts.indices(count)
        shape, blocks = torch.Size((last - first, height, width)), height * width // NF4_BLOCK
        packed = self.packed.view(-1)[first * height * width // 2 : last * height * width // 2].clone()
        rows = slice(first * blocks, last * blocks)
        nested = self._nested()
        if nested is None:
            return Nf4Stack(shape, packed=packed, scales=self.scales[rows].clone(), values=self.values)
        if rows.start % NF4_GROUP:
            scales = block_scales(self._weight(torch.float32))[rows].clone()
            return Nf4Stack(shape, packed=packed, scales=scales, values=self.values)
        groups = slice(rows.start // NF4_GROUP, -(-rows.stop // NF4_GROUP))
        options = {"nested_values": nested.values, "nested_offset": nested.offset}
        options["nested_scales"] = nested.scales[groups].clone()
        return Nf4Stack(shape, packed=packed, scales=self.scales[rows].clone(), values=self.values, **options)

    def _weight(self, dtype: torch.dtype) -> Nf4Weight:
        packed = self.packed.view(torch.uint8)
        return Nf4Weight(self.shape, dtype, packed, self.scales, self.values, NF4_BLOCK, self._nested())

    def _nested(self) -> QuantizedScales | None:
        if self.nested_values is None or self.nested_scales is None or self.nested_offset is None:
            return None
        return QuantizedScales(self.nested_values, self.nested_scales, self.nested_offset, NF4_GROUP)


def _check_blocks(shape: torch.Size) -> None:
    if math.prod(shape[1:]) % NF4_BLOCK:
        raise ModelError(
            f"base.quantize: nf4 has blocks of {NF4_BLOCK} values, and an expert of {shape[1]} x {shape[2]} is not "
            f"whole blocks; set base.quantize: fp8 or none"
        )


class NamedStacks(nn.ModuleDict):
    """Stacks by the names of the parameters that they replace. As modules they have other names, because PEFT takes
    modules by the end of their names: a target `down_proj` is not meant for a stack."""

    def __getitem__(self, key: str) -> nn.Module:
        return super().__getitem__(f"{key}_stack")

    def __setitem__(self, key: str, module: nn.Module) -> None:
        super().__setitem__(f"{key}_stack", module)


class QuantizedExperts(nn.Module):
    """Replaces the stock module of a mixture's experts: the same arguments, results and names of parameters.

    Args:
        experts: the stock module.
        stacks: of each name of `STACKS`; of some experts where they are divided among processes (`keep`).

    `owners`: which process has which experts, where they are divided and not adapted.
    """

    owners: ExpertOwners | None = None

    def __init__(self, experts: Any, stacks: dict[str, QuantizedStackModule]):
        super().__init__()
        self.num_experts, self.act_fn = experts.num_experts, experts.act_fn
        self.stacks = NamedStacks(stacks)
        for name in STACKS:
            stock = getattr(experts, name)
            shape = self.num_experts, *stacks[name].shape[1:]
            self.register_parameter(name, placeholder(shape, stock.dtype, stock.device, value=torch.nan))

    def keep(self, experts: slice) -> None:
        """Leaves some experts in the stacks; parameters keep the shape of all, from which PEFT makes its adapters."""
        count = len(range(*experts.indices(self.num_experts)))
        for name in STACKS:
            stack: Any = self.stacks[name]
            if stack.shape[0] != count:
                self.stacks[name] = stack.part(experts)

    def forward(
        self,
        hidden_states: Float[Tensor, "T D"],
        top_k_index: Int[Tensor, "T K"],
        top_k_weights: Float[Tensor, "T K"],
    ) -> Float[Tensor, "T D"]:
        return routed_forward(self, self.owners, hidden_states, top_k_index, top_k_weights)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "QuantizedExperts":
        """The placeholders take no memory on another device or in another type either."""
        self.stacks._apply(fn, recurse)
        for name in STACKS:
            old = getattr(self, name)
            value = fn(old.detach()[:1, :1, :1].clone())
            self._parameters[name] = placeholder(old.shape, value.dtype, value.device, value=torch.nan)
        return self


StackProduct = Callable[[Any, str, Tensor, Tensor], Tensor]
"""Of a module of experts, the name of a stack, rows sorted by expert and where each expert's end: `stack_product`."""


def quantized_stack(experts: Any, name: str) -> QuantizedStackModule | None:
    """A stack of a module of experts by its name, or None where it has 16 or 32 bits."""
    if not isinstance(experts, QuantizedExperts):
        return None
    stack: Any = experts.stacks[name]
    return stack


def routed_forward(
    experts: Any,
    owners: ExpertOwners | None,
    hidden_TD: Float[Tensor, "T D"],
    top_k_index: Int[Tensor, "T K"],
    top_k_weights: Float[Tensor, "T K"],
    product: StackProduct | None = None,
) -> Float[Tensor, "T D"]:
    """The products of a module of experts for each token, summed by the weights.

    Args:
        owners: the rows travel to the processes that have the experts; None if all are here.
        product: of rows and a stack; `stack_product` where None.
    """
    product = product or stack_product
    routing = sort_by_expert(top_k_index, experts.num_experts)
    dispatch = None if owners is None else owners.dispatch(routing)
    ends = routing.ends if dispatch is None else dispatch.ends
    x = hidden_TD[routing.tokens] if dispatch is None else dispatch.rows_of(hidden_TD)
    gate, up = product(experts, "gate_up_proj", x, ends).chunk(2, dim=-1)
    y = product(experts, "down_proj", experts.act_fn(gate) * up, ends)
    y = y if dispatch is None else dispatch.pairs_of(y)
    y = y * top_k_weights.flatten()[routing.order].unsqueeze(-1)
    return y[routing.places].sum(1).to(hidden_TD.dtype)


def stack_product(experts: Any, name: str, x: Float[Tensor, "S D"], ends: Int[Tensor, " E"]) -> Float[Tensor, "S N"]:
    """Rows sorted by expert times the transpose of their expert's weight, with the gradient of x."""
    stack = quantized_stack(experts, name)
    if stack is not None:
        return quantized_product(x.to(getattr(experts, name).dtype), stack, ends)
    weight = getattr(experts, name)
    return grouped(x.to(weight.dtype), weight, ends)


def quantized_experts(model: nn.Module) -> Iterator[QuantizedExperts]:
    return (module for module in model.modules() if isinstance(module, QuantizedExperts))
