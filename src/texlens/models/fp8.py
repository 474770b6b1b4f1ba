"""A base whose linear layers in the language model are float8, so that matrix products run on 8-bit units.

Each weight is stored twice: quantized by rows for the forward pass, and transposed and quantized by the rows of that
for the gradient of the input. That is two bytes per weight, as in 16 bits: it is faster, not smaller. Layers with a
common input share the scales of the second copy, so that they can be stacked into one product. Embedding and head are
not quantized, nor is the vision tower by default. If it is, its blocks have the first copy only, because they are
frozen and no gradient passes through them.

# T = tokens, N = width out, D = width in
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from texlens.kernels.fp8.format import FP8_DTYPE
from texlens.kernels.fp8.quantize import quantize_rows, scaled_product
from texlens.models.device import on_gpu
from texlens.models.families import LANGUAGE_MODEL, VISION_TOWER

MULTIPLE = 16
"""8-bit products take widths that are multiples of this."""
COMMON_INPUT = (
    ("q_proj", "k_proj", "v_proj"),
    ("gate_proj", "up_proj"),
    ("in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a"),
)
"""Layers with a common input."""
BLOCKS = f"{VISION_TOWER}.blocks"


class Fp8Linear(nn.Linear):
    """A frozen linear layer in float8: `codes` [N, D] with `scale` [N], `back_codes` [D, N] with `back_scale` [D].

    If `back_codes` and `back_scale` are None, autograd treats the results as constants. Where weights are divided among
    processes, the codes are parameters of another type with the same bytes (`sharding.quantized`).

    Results have `compute_dtype`, the type of the original layer. Codes and scales are not in the state dict: they are
    computed again from the checkpoint. PEFT reads a layer's device from `weight` and its type from `compute_dtype`.
    """

    codes: Tensor
    scale: Tensor
    back_codes: Tensor | None
    back_scale: Tensor | None

    def __init__(self, layer: nn.Linear, back_codes: Tensor | None = None, back_scale: Tensor | None = None):
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.compute_dtype = layer.weight.dtype
        codes, scale = quantize_rows(layer.weight.detach())
        parts = {"codes": codes, "scale": scale[:, 0], "back_codes": back_codes, "back_scale": back_scale}
        for name, part in parts.items():
            self.register_buffer(name, part, persistent=False)
        self.bias = layer.bias
        if self.bias is not None:
            self.bias.requires_grad_(False)

    @classmethod
    def from_linear(cls, layer: nn.Linear) -> "Fp8Linear":
        """The layer in float8, on the same device and with the same bias."""
        return quantize_together([layer])[0]

    @property
    def weight(self) -> Tensor:  # pyrefly: ignore[bad-override]
        """The weight without its scales."""
        return self.codes

    def forward(self, input: Tensor) -> Tensor:
        if self.back_codes is None:
            with torch.no_grad():
                return _times(input, self.codes, self.scale, self.bias, self.compute_dtype)
        return _Product.apply(input, self)

    def product(self, codes: Tensor, scale: Tensor) -> Tensor:
        """[T, N] for a quantized input [T, D] and the scales [T, 1] of its rows, outside autograd."""
        return scaled_product(codes, scale, self.codes.view(FP8_DTYPE), self.scale, self.bias, self.compute_dtype)


def quantize_together(layers: Sequence[nn.Linear]) -> list[Fp8Linear]:
    """Layers with a common input in float8; for the backward pass they share one scale per input."""
    transposed = torch.cat([layer.weight.detach() for layer in layers]).T.contiguous()
    back_codes, back_scale = quantize_rows(transposed)
    parts = back_codes.split([layer.out_features for layer in layers], 1)
    return [Fp8Linear(layer, part, back_scale[:, 0]) for layer, part in zip(layers, parts, strict=True)]


def quantize_in_fp8(model: nn.Module, *, vision: bool = False) -> tuple[str, ...]:
    """Replaces the language model's linear layers by float8 layers in place, one group at a time.

    Needs memory for one group of layers besides the model. Returns `kept_in_16_bits`: layers of which a width, or one
    of a layer with the same input, is not a multiple of 16.

    Args:
        vision: quantize the vision tower's blocks too, for the forward pass only. The attention or the MLP of a block
            keeps 16 bits if one of its widths is not a multiple of 16.
    """
    quantize_linear_layers(model)
    if vision:
        quantize_vision(model)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return kept_in_16_bits(model)


def quantize_linear_layers(model: nn.Module, within: str = LANGUAGE_MODEL) -> None:
    """Replaces the linear layers of a part of the language model, one group at a time."""
    for names in list(_groups(model, within)):
        if _fit(layers := _layers(model, names)):
            with on_gpu(layers[0].weight.device):
                together = quantize_together(layers)
            for name, quantized in zip(names, together, strict=True):
                _replace(model, name, quantized)


def quantize_vision(model: nn.Module) -> None:
    """Replaces the layers of the vision tower's blocks, for the forward pass only."""
    for name in quantizable_vision_layers(model):
        _replace(model, name, Fp8Linear(model.get_submodule(name)))  # pyrefly: ignore[bad-argument-type]


def kept_in_16_bits(model: nn.Module) -> tuple[str, ...]:
    """Names of the linear layers that are not `Fp8Linear`: of the language model, and of the vision tower's blocks if
    any of their layers is."""
    halves = _halves(model) if fp8_layers(model.get_submodule(VISION_TOWER)) else ()
    return tuple(name for names in itertools.chain(_groups(model), halves) for name in names)


def quantizable_vision_layers(model: nn.Module) -> list[str]:
    """Names of the layers in the vision tower's blocks whose widths suit float8."""
    return [name for names in _halves(model) if _fit(_layers(model, names)) for name in names]


def fp8_layers(model: nn.Module) -> list[Fp8Linear]:
    return [module for module in model.modules() if isinstance(module, Fp8Linear)]


def _groups(model: nn.Module, within: str = LANGUAGE_MODEL) -> Iterator[list[str]]:
    """Names of the linear layers of a part of the language model, grouped by common input."""
    for name, parent in model.get_submodule(within).named_modules(prefix=within):
        leaves = [leaf for leaf, child in parent.named_children() if type(child) is nn.Linear]
        shared = [group for group in COMMON_INPUT if set(group) <= set(leaves)]
        single = [(leaf,) for leaf in leaves if not any(leaf in group for group in shared)]
        for group in [*shared, *single]:
            yield [f"{name}.{leaf}" for leaf in group]


def _halves(model: nn.Module) -> Iterator[list[str]]:
    """Names of the linear layers in the vision tower's blocks, grouped by attention and MLP."""
    for number, block in enumerate(model.get_submodule(BLOCKS).children()):
        for half in ("attn", "mlp"):
            prefix = f"{BLOCKS}.{number}.{half}"
            parts = block.get_submodule(half).named_modules(prefix=prefix)
            if names := [name for name, part in parts if type(part) is nn.Linear]:
                yield names


def _layers(model: nn.Module, names: list[str]) -> list[Any]:
    return [model.get_submodule(name) for name in names]


def _fit(layers: list[Any]) -> bool:
    return not any(layer.in_features % MULTIPLE or layer.out_features % MULTIPLE for layer in layers)


def _replace(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, layer)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input, layer: Fp8Linear):
        ctx.layer, ctx.dtype = layer, input.dtype
        return _times(input, layer.codes, layer.scale, layer.bias, layer.compute_dtype)

    @staticmethod
    def backward(ctx, *grads):
        layer = ctx.layer
        dx = _times(grads[0], layer.back_codes, layer.back_scale, None, layer.compute_dtype)
        return dx.to(ctx.dtype), None


def _times(x: Tensor, weight: Tensor, weight_scale: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
    """x [..., D] @ weight.T + bias, with the rows of x quantized first."""
    codes, scale = quantize_rows(x.reshape(-1, x.shape[-1]).contiguous())
    return scaled_product(codes, scale, weight.view(FP8_DTYPE), weight_scale, bias, dtype).view(*x.shape[:-1], -1)
