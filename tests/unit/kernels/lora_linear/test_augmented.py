"""Weights with the adapters in extra columns."""

import importlib.util

import pytest
import torch

from tests.unit.kernels.lora_linear.products import (
    DEVICE,
    HEIGHT,
    RANKS,
    WIDTH,
    fp8_product,
    interpreted,
    random_tensor,
    stacked_adapters,
)
from texlens.kernels.fp8 import format as fp8
from texlens.kernels.lora_linear.augmented import _product_in_vectors

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("triton") or not (torch.cuda.is_available() or interpreted),
    reason="no Triton, or no GPU and no interpreter",
)


@pytest.fixture
def fp8_kernels():
    return importlib.import_module("texlens.kernels.fp8.triton")


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


def test_adapters_are_quantized_once_until_they_change(fp8_kernels, monkeypatch):
    run, calls = fp8_kernels.quantize_adapters, []
    monkeypatch.setattr(fp8_kernels, "quantize_adapters", lambda *sides: calls.append(sides) or run(*sides))
    product = fp8_product()
    product.lora_b_grads(random_tensor(5, HEIGHT), random_tensor(5, product.ranks))
    product.lora_b_grads(random_tensor(5, HEIGHT), random_tensor(5, product.ranks))
    assert len(calls) == 1
    product.invalidate()
    product.lora_b_grads(random_tensor(5, HEIGHT), random_tensor(5, product.ranks))
    assert len(calls) == 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("width", [44, 48])
def test_rows_of_a_product_begin_at_whole_vectors_on_a_gpu(width, dtype):
    left, right = random_tensor(9, 24).to(dtype), random_tensor(24, width + 4).to(dtype)[:, :width]
    result = _product_in_vectors(left, right)
    torch.testing.assert_close(result, left @ right, rtol=1e-2, atol=1e-2)
    assert not result.is_cuda or result.stride(0) * result.itemsize % 16 == 0
