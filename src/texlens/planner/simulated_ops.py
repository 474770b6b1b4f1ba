"""Operations that a GPU has and the meta device lacks: attention kernels, autocast's casts, 4- and 8-bit layers.

They compute nothing; each saves and allocates as the real operation does.

# B = rows, H = heads, L = tokens, D = width of a head
"""

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface

from texlens.models.families.expert_stacks import STACKS
from texlens.models.fp8 import quantizable_vision_layers
from texlens.models.mixtures.experts import Fp8Stack, Nf4Stack, QuantizedExperts, QuantizedStackModule

ATTENTION = "texlens_planned"
"""Name of the planner's attention in transformers' registry."""
KEPT_IN_16_BIT = ("lm_head", "visual")
"""Modules that `base.quantize` does not quantize."""


def use_simulated_attention(model: PreTrainedModel) -> None:
    """Replaces every attention of the model by a simulation of the kernel that torch uses on a GPU."""
    AttentionInterface.register(ATTENTION, _attention)
    AttentionMaskInterface.register(ATTENTION, _mask)
    for module in model.modules():
        if isinstance(module, PreTrainedModel):
            module.config._attn_implementation = ATTENTION


def _attention(module, query, key, value, attention_mask, dropout=0.0, scaling=None, is_causal=None, **kwargs):
    """As transformers' sdpa: with a mask the heads of keys and values are repeated, without one they are shared."""
    groups = getattr(module, "num_key_value_groups", 1)
    if attention_mask is not None and groups > 1:
        key, value = _repeat_heads(key, groups), _repeat_heads(value, groups)
    out_BHLD = _FusedAttention.apply(query, key, value)
    return out_BHLD.transpose(1, 2).contiguous(), None


def _repeat_heads(tensor_BHLD: torch.Tensor, times: int) -> torch.Tensor:
    rows, heads, length, width = tensor_BHLD.shape
    spread = tensor_BHLD[:, :, None].expand(rows, heads, times, length, width)
    return spread.reshape(rows, heads * times, length, width)


class _FusedAttention(torch.autograd.Function):
    """Attention that does not materialize its weights: saves its inputs, its output and one float32 per query."""

    @staticmethod
    def forward(ctx, query, key, value):
        rows, heads, length, _ = query.shape
        out = torch.empty_like(query.transpose(1, 2).contiguous()).transpose(1, 2)
        sums = query.new_empty((rows, heads, length), dtype=torch.float32)
        ctx.save_for_backward(query, key, value, out, sums)
        return out

    @staticmethod
    def backward(ctx, *grads):
        query, key, value, *_ = ctx.saved_tensors
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


def _mask(*args, **kwargs):
    """A mask for every pair of tokens; None for a single row, which has no padding."""
    rows, length = kwargs.get("batch_size", args[0] if args else 1), kwargs["kv_length"]
    return None if rows == 1 else torch.empty((rows, 1, length, length), dtype=torch.bool, device="meta")


class Autocast(TorchFunctionMode):
    """bfloat16 autocast as on CUDA: matrix products in bfloat16, layer norms in float32; each weight is cast once.

    Lists: https://docs.pytorch.org/docs/stable/amp.html#cuda-ops-that-can-autocast-to-float16
    """

    LOW = frozenset({functional.linear, torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.bmm,
                     torch.addmm, torch.baddbmm, functional.conv3d, torch.conv3d})  # fmt: skip
    HIGH = frozenset({functional.layer_norm, torch.layer_norm})

    def __init__(self):
        super().__init__()
        self._cache: dict[int, torch.Tensor] = {}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        dtype = torch.bfloat16 if func in self.LOW else torch.float32 if func in self.HIGH else None
        if dtype and all(arg.device.type == "meta" for arg in args if isinstance(arg, torch.Tensor)):
            args = tuple(self._cast(arg, dtype) for arg in args)
        return func(*args, **(kwargs or {}))

    def _cast(self, arg, dtype: torch.dtype):
        if not isinstance(arg, torch.Tensor) or not arg.is_floating_point():
            return arg
        if arg.dtype == dtype:
            return arg
        if not (arg.is_leaf and arg.requires_grad and dtype == torch.bfloat16):
            return arg.to(dtype)
        if id(arg) not in self._cache:
            self._cache[id(arg)] = arg.to(dtype)
        return self._cache[id(arg)]


BYTES_PER_WEIGHT = {"nf4": 0.5 + 1 / 64 + 4 / (64 * 256), "int8": 1.0, "fp8": 2.0, "fp8 forward": 1.0}
"""bitsandbytes' NF4 with double quantization: half a byte, one byte of scale a block of 64, and a float32 for each 256
of those scales. int8: a byte; its float32 a row is counted with the layer. fp8: a byte in each direction; its float32 a
row and a column are counted with the layer. For the forward pass only, half of either."""


class QuantizedLinear(nn.Linear):
    """A frozen layer: of bitsandbytes, with weights that are dequantized to 16 bits during each matrix product; or in
    fp8, with inputs that are quantized during each product."""

    def __init__(self, layer: nn.Linear, kind: str):
        super().__init__(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
        stored = math.ceil(layer.weight.numel() * BYTES_PER_WEIGHT[kind])
        rows = layer.out_features
        stored += 4 * {"int8": rows, "fp8": rows + layer.in_features, "fp8 forward": rows}.get(kind, 0)
        self.weight = nn.Parameter(torch.empty(stored, dtype=torch.uint8, device="meta"), requires_grad=False)
        self.bias = layer.bias
        self.product = {"fp8": _Fp8Product, "fp8 forward": _Fp8Forward}.get(kind, _DequantizedProduct)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        out = self.product.apply(input, self.weight, self.in_features, self.out_features)
        return out if self.bias is None else out + self.bias.to(out.dtype)


class _DequantizedProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input, packed, inputs, outputs):
        ctx.shape = (outputs, inputs)
        unpacked = torch.empty_like(packed, dtype=torch.bfloat16).new_empty(ctx.shape)
        return functional.linear(input.to(torch.bfloat16), unpacked)

    @staticmethod
    def backward(ctx, *grads):
        unpacked = grads[0].new_empty(ctx.shape)
        return grads[0] @ unpacked, None, None, None


class _Fp8Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input, codes, inputs, outputs):
        ctx.codes, ctx.shape = codes, (outputs, inputs)
        return _fp8_product(input, _as_16_bits(codes, ctx.shape).T)

    @staticmethod
    def backward(ctx, *grads):
        return _fp8_product(grads[0], _as_16_bits(ctx.codes, ctx.shape)), None, None, None


class _Fp8Forward(torch.autograd.Function):
    """Of a frozen layer without backward pass; its storage is too small to be viewed as a weight in 16 bits."""

    @staticmethod
    def forward(ctx, input, codes, inputs, outputs):
        return _fp8_product(input, input.new_empty((), dtype=torch.bfloat16).expand(inputs, outputs))


def _fp8_product(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """A matrix product during which x is also held in fp8."""
    codes = torch.empty_like(x, dtype=torch.uint8)
    out = x.to(torch.bfloat16) @ weight
    del codes
    return out


def _as_16_bits(codes: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    return codes[: 2 * math.prod(shape)].view(torch.bfloat16).view(shape)


def quantize(model: nn.Module, kind: str, skip: tuple[str, ...] = ("lm_head",), *, double: bool = True) -> None:
    """Replaces every linear layer by a simulated quantized one, except where a part of its name is in `skip`, and
    stacked experts by those that `models.mixtures.load` makes, without values.

    Args:
        double: the scales of 4-bit experts are quantized.
    """
    for name, module in list(model.named_modules()):
        for leaf, child in list(module.named_children()):
            full = f"{name}.{leaf}" if name else leaf
            if type(child) is nn.Linear and not any(part in full.split(".") for part in skip):
                setattr(module, leaf, QuantizedLinear(child, kind))
            elif all(hasattr(child, stack) for stack in STACKS):
                setattr(module, leaf, QuantizedExperts(child, _empty_stacks(child, kind, double=double)))


def _empty_stacks(experts: Any, kind: str, *, double: bool) -> dict[str, QuantizedStackModule]:
    stacks = {name: getattr(experts, name) for name in STACKS}
    if kind == "fp8":
        return {name: Fp8Stack.empty(stack.shape, stack.device) for name, stack in stacks.items()}
    return {name: Nf4Stack.empty(stack.shape, stack.device, double=double) for name, stack in stacks.items()}


def quantize_vision(model: nn.Module) -> None:
    """Replaces the vision tower's layers that fp8 holds for the forward pass only."""
    for name in quantizable_vision_layers(model):
        parent, _, leaf = name.rpartition(".")
        layer: Any = model.get_submodule(name)
        setattr(model.get_submodule(parent), leaf, QuantizedLinear(layer, "fp8 forward"))
