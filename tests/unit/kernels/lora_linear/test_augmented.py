"""Weights with the adapters in extra columns."""

import importlib.util
import os

import pytest
import torch

from texlens.kernels.adapter import Adapter
from texlens.kernels.fp8 import format as fp8
from texlens.kernels.fp8.reference import quantize_rows_reference
from texlens.kernels.lora_linear.fp8_linear import Fp8FusedLinear

interpreted = os.environ.get("TRITON_INTERPRET") == "1"
pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("triton") or not (torch.cuda.is_available() or interpreted),
    reason="no Triton, or no GPU and no interpreter",
)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TOKENS, WIDTH, HEIGHT, RANKS = 150, 72, 300, 16


@pytest.fixture
def fp8_kernels():
    return importlib.import_module("texlens.kernels.fp8.triton")


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


def fp8_inputs(fill: float = 0.0):
    lora_b, lora_a = stacked_adapters(torch.float32)
    scales = random_tensor(HEIGHT).abs() + 0.01, random_tensor(WIDTH).abs() + 0.01
    lora_b[5, 3] += fill
    padding = fp8.padded_columns(RANKS)
    lora_a_out = [
        torch.zeros(n, padding + 16, dtype=torch.uint8, device=DEVICE).view(fp8.FP8_DTYPE) for n in (HEIGHT, WIDTH)
    ]
    return lora_b, scales[0], lora_a_out[0][:, 16:], lora_a, scales[1], lora_a_out[1][:, 16:]


@pytest.mark.parametrize("fill", [0.0, 1e6])
def test_columns_appended_to_a_weight_hold_the_adapters_and_the_residual(fp8_kernels, fill):
    lora_b, lora_b_scale, lora_b_columns, lora_a, lora_a_scale, lora_a_columns = fp8_inputs(fill)
    rescales = fp8_kernels.quantize_adapters(lora_b, lora_b_scale, lora_b_columns, lora_a, lora_a_scale, lora_a_columns)
    scaled = lora_b / lora_b_scale[:, None], lora_a.T / lora_a_scale[:, None]
    for values, quantized, rescale in zip(scaled, (lora_b_columns, lora_a_columns), rescales, strict=True):
        torch.testing.assert_close(rescale, (values.abs().amax() / 448).clamp(min=1)[None])
        high, low, repeated = (quantized[:, RANKS * n : RANKS * (n + 1)].float() for n in range(3))
        assert torch.equal(high, repeated)
        torch.testing.assert_close(high, (values / rescale).to(fp8.FP8_DTYPE).float(), atol=2**-9, rtol=0.07)
        torch.testing.assert_close(high + low, values / rescale, atol=2**-9, rtol=0.006)


def test_matrix_with_nan_has_a_rescale_of_nan(fp8_kernels):
    rescale, other = fp8_kernels.quantize_adapters(*fp8_inputs(float("nan")))
    assert rescale.isnan().all()
    assert other.isfinite().all()


def fp8_product() -> Fp8FusedLinear:
    weight = random_tensor(HEIGHT, WIDTH)
    quantized, scale = quantize_rows_reference(weight)
    back, back_scale = quantize_rows_reference(weight.T)
    return Fp8FusedLinear(quantized, scale[:, 0], back, back_scale[:, 0], None, adapters(), torch.float32)


def test_adapters_are_quantized_once_until_they_change(fp8_kernels, monkeypatch):
    run, calls = fp8_kernels.quantize_adapters, []
    monkeypatch.setattr(fp8_kernels, "quantize_adapters", lambda *sides: calls.append(sides) or run(*sides))
    product = fp8_product()
    product.lora_b_grads(random_tensor(5, HEIGHT), random_tensor(5, RANKS))
    product.lora_b_grads(random_tensor(5, HEIGHT), random_tensor(5, RANKS))
    assert len(calls) == 1
    product.invalidate()
    product.lora_b_grads(random_tensor(5, HEIGHT), random_tensor(5, RANKS))
    assert len(calls) == 2
