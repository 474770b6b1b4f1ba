"""Products with adapters."""

import os

import torch

from texlens.kernels.adapter import Adapter
from texlens.kernels.fp8.reference import quantize_rows_reference
from texlens.kernels.lora_linear.fp8_linear import Fp8FusedLinear

interpreted = os.environ.get("TRITON_INTERPRET") == "1"

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

TOKENS, WIDTH, HEIGHT, RANKS = 150, 72, 300, 16


def random_tensor(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(*shape, generator=generator).to(DEVICE, dtype)


def adapters(starts=(0, 240)) -> tuple[Adapter, ...]:
    """Two of three layers adapted, of ranks 4 and 6 in 16 extra columns."""
    first = Adapter(random_tensor(4, WIDTH), random_tensor(200, 4), 2.0, slice(starts[0], starts[0] + 200), slice(0, 4))
    other = Adapter(random_tensor(6, WIDTH), random_tensor(60, 6), 0.5, slice(starts[1], starts[1] + 60), slice(4, 10))
    return first, other


def stacked_adapters(dtype: torch.dtype, parts=None) -> tuple[torch.Tensor, torch.Tensor]:
    """All LoRA B and all LoRA A as PyTorch places them, in wider tensors."""
    lora_b = random_tensor(HEIGHT, RANKS + 8, dtype=dtype).zero_()[:, :RANKS]
    lora_a = random_tensor(RANKS, WIDTH + 8, dtype=dtype).zero_()[:, :WIDTH]
    for adapter in parts or adapters():
        lora_b[adapter.rows, adapter.columns] = (adapter.lora_b * adapter.scaling).to(dtype)
        lora_a[adapter.columns] = adapter.lora_a.to(dtype)
    return lora_b, lora_a


def fp8_product() -> Fp8FusedLinear:
    weight = random_tensor(HEIGHT, WIDTH)
    quantized, scale = quantize_rows_reference(weight)
    back, back_scale = quantize_rows_reference(weight.T)
    return Fp8FusedLinear(quantized, scale[:, 0], back, back_scale[:, 0], None, adapters(), torch.float32)
