"""Layers held in float8 as the products that the fused layers take, and the vision tower's blocks over them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from texlens.kernels.lora_linear.products import Coded
from texlens.kernels.vision_fp8.reference import GELUS, gelu_codes, into_heads, norm_codes
from texlens.models.fp8 import Fp8Linear
from texlens.models.packed.projections import adapters_of, base_of


def holds_fp8(layer: nn.Module) -> bool:
    return isinstance(base_of(layer), Fp8Linear)


def stack_coded(layers: Sequence[nn.Module]) -> Coded:
    """The layers (of one input) as one product; their codes become parts of its tensors, without a second copy."""
    bases: list[Any] = [base_of(layer) for layer in layers]
    bias = None if bases[0].bias is None else torch.cat([base.bias.detach() for base in bases])
    product = Coded(
        _side_by_side([base.codes for base in bases], 0),
        torch.cat([base.scale for base in bases]),
        _side_by_side([base.back_codes for base in bases], 1),
        bases[0].back_scale,
        bias,
        adapters_of(layers),
        bases[0].compute_dtype,
    )
    start = 0
    for base in bases:
        rows = slice(start, start + base.out_features)
        base.codes, base.back_codes = product.codes[rows, : product.width], product.back_codes[:, rows]
        start = rows.stop
    return product


def _side_by_side(parts: Sequence[Tensor], along: int) -> Tensor:
    """Codes joined as bytes: not every device joins float8."""
    return torch.cat([part.view(torch.uint8) for part in parts], along).view(parts[0].dtype)


# A vision block: P = patches, D = width, H = heads, W = width of a head ----------------------------------------------


def before_attention(
    block: Any, x: Tensor, last: Tensor | None, cos: Tensor, sin: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x + last [P, D], rotated queries and keys, and values [P, H, W]."""
    x, codes = norm_codes(x, last, *_norm_parts(block.norm1))
    return x, *into_heads(block.attn.qkv.product(*codes), block.attn.num_heads, cos, sin)


def mlp_in_fp8(block: Any, x: Tensor, y: Tensor, gelu: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """x + y [P, D], and what the block's MLP makes of it."""
    first, second = _mlp_layers(block.mlp)
    x, codes = norm_codes(x, y, *_norm_parts(block.norm2))
    return x, second.product(*gelu_codes(first.product(*codes), gelu))


def coded_gelu(mlp: nn.Module, vision_config: Any) -> tuple[float, float] | None:
    """The activation that `mlp_in_fp8` applies, one of `GELUS`; None for an MLP that it can't run."""
    layers = _mlp_layers(mlp)
    coded = bool(layers) and all(isinstance(layer, Fp8Linear) for layer in layers)
    return GELUS.get(getattr(vision_config, "hidden_act", "")) if coded else None


def _mlp_layers(mlp: Any) -> tuple[Any, ...]:
    """The two layers of an MLP without a gate, by either of their names; none of one with a gate."""
    for names in (("linear_fc1", "linear_fc2"), ("fc1", "fc2")):
        if hasattr(mlp, names[0]):
            return tuple(getattr(mlp, name) for name in names)
    return ()


def _norm_parts(norm: Any) -> tuple[Tensor, Tensor | None, float]:
    """Weight, bias and epsilon of a layer norm, or of a root mean square norm, which has no bias."""
    bias = getattr(norm, "bias", None)
    return norm.weight, bias, norm.variance_epsilon if bias is None else norm.eps
