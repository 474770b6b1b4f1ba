"""Puts bitsandbytes' layers in NF4 or int8 into a model of random weights, as loading a checkpoint would."""

from collections.abc import Callable

import torch
from torch import nn

UNQUANTIZED = ("lm_head", "visual")
"""Modules that `base.quantize` leaves alone."""


def quantize_in_nf4(model: nn.Module, unquantized: tuple[str, ...] = UNQUANTIZED) -> None:
    """Linear layers one by one, with double quantization, where they are; all of the model is frozen afterwards."""
    model.is_loaded_in_4bit = True  # pyrefly: ignore
    _replace_linear_layers(model, unquantized, _in_nf4)


def quantize_in_int8(model: nn.Module, unquantized: tuple[str, ...] = UNQUANTIZED) -> None:
    """The same in int8, as `load_in_8bit` has them."""
    model.is_loaded_in_8bit = True  # pyrefly: ignore
    _replace_linear_layers(model, unquantized, _in_int8)


def _in_nf4(child: nn.Linear) -> nn.Module:
    from bitsandbytes.nn import Linear4bit, Params4bit

    layer = Linear4bit(
        child.in_features,
        child.out_features,
        bias=child.bias is not None,
        compute_dtype=child.weight.dtype,
        quant_type="nf4",
        device="meta",
    )
    weight = child.weight.data
    layer.weight = Params4bit(weight, requires_grad=False, quant_type="nf4", module=layer).to(weight.device)
    return layer


def _in_int8(child: nn.Linear) -> nn.Module:
    from bitsandbytes.functional import int8_vectorwise_quant
    from bitsandbytes.nn import Int8Params, Linear8bitLt

    has_bias = child.bias is not None
    layer = Linear8bitLt(
        child.in_features, child.out_features, bias=has_bias, has_fp16_weights=False, threshold=6.0, device="meta"
    )
    codes, scale, _ = int8_vectorwise_quant(child.weight.data.half())
    layer.weight = Int8Params(codes, requires_grad=False, has_fp16_weights=False, CB=codes, SCB=scale)
    return layer


def _replace_linear_layers(
    model: nn.Module, unquantized: tuple[str, ...], quantized: Callable[[nn.Linear], nn.Module]
) -> None:
    for name, parent in list(model.named_modules()):
        for leaf, child in list(parent.named_children()):
            if type(child) is not nn.Linear or set(f"{name}.{leaf}".split(".")) & set(unquantized):
                continue
            layer = quantized(child)
            layer.bias = child.bias
            setattr(parent, leaf, layer)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
