"""Puts bitsandbytes' NF4 layers into a model that was made with random weights, as loading a checkpoint would."""

import torch
from torch import nn

UNQUANTIZED = ("lm_head", "visual")
"""Modules that `base.quantize` leaves alone."""


def quantize_in_nf4(model: nn.Module, unquantized: tuple[str, ...] = UNQUANTIZED) -> None:
    """Linear layers one by one, with double quantization, where they are; all of the model is frozen afterwards."""
    from bitsandbytes.nn import Linear4bit, Params4bit

    model.is_loaded_in_4bit = True  # pyrefly: ignore
    for name, parent in list(model.named_modules()):
        for leaf, child in list(parent.named_children()):
            if type(child) is not nn.Linear or set(f"{name}.{leaf}".split(".")) & set(unquantized):
                continue
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
            layer.bias = child.bias
            setattr(parent, leaf, layer)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
