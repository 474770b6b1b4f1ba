"""LoRA products of dropped inputs in PyTorch operations.

# T = tokens, D = width, R = ranks
"""

import torch
from jaxtyping import Float
from torch import Tensor

from texlens.kernels.dropout.mask import LoraDropout


def dropped_product(
    x: Float[Tensor, "T D"], lora_a: Float[Tensor, "R D"], dropout: LoraDropout
) -> Float[Tensor, "T R"]:
    """(mask * x) @ lora_a.T."""
    return (x * dropout.mask(len(x), x.shape[1], x.dtype)) @ lora_a.T


def dropped_sum(
    grad_lora_a_out: Float[Tensor, "T R"], x: Float[Tensor, "T D"], dropout: LoraDropout
) -> Float[Tensor, "R D"]:
    """grad_lora_a_out.T @ (mask * x): the gradient of LoRA A."""
    return grad_lora_a_out.T @ (x * dropout.mask(len(x), x.shape[1], x.dtype))


def write_dropped_grad(
    dx: Float[Tensor, "T D"],
    grad_lora_a_out: Float[Tensor, "T R"],
    lora_a: Float[Tensor, "R D"],
    dropout: LoraDropout,
) -> Float[Tensor, "T D"]:
    """mask * (grad_lora_a_out @ lora_a), written over dx."""
    return torch.mul(grad_lora_a_out @ lora_a, dropout.mask(len(dx), dx.shape[1], dx.dtype), out=dx)


def add_dropped_grad(
    dx: Float[Tensor, "T D"],
    grad_lora_a_out: Float[Tensor, "T R"],
    lora_a: Float[Tensor, "R D"],
    dropout: LoraDropout,
) -> Float[Tensor, "T D"]:
    """dx + mask * (grad_lora_a_out @ lora_a), written over dx."""
    return dx.add_(torch.mm(grad_lora_a_out, lora_a).mul_(dropout.mask(len(dx), dx.shape[1], dx.dtype)))
