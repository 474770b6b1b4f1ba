"""Linear layers in fp8 with adapters."""

import importlib.util

import pytest
import torch

from tests.unit.kernels.lora_linear.products import (
    DEVICE,
    WIDTH,
    fp8_product,
    interpreted,
    random_tensor,
    stacked_adapters,
)
from texlens.kernels.decoder_layer import reference as fused
from texlens.kernels.fp8.reference import quantize_rows_reference
from texlens.kernels.lora_linear import backend as lora_backend

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("triton") or not (torch.cuda.is_available() or interpreted),
    reason="no Triton, or no GPU and no interpreter",
)


@pytest.mark.parametrize("adds", [True, False])
def test_norm_is_quantized_with_its_lora_a_output_appended(kernels, adds):
    x, weight, y, rescale = (
        random_tensor(37, WIDTH),
        random_tensor(WIDTH),
        random_tensor(37, WIDTH, seed=1),
        torch.tensor([2.0], device=DEVICE),
    )
    _, lora_a = stacked_adapters(torch.float32)
    total = x + y
    normed = fused.rms_norm(total if adds else x, weight, 1e-6)
    (quantized, scale), lora_a_out = kernels.norm_quantize(
        x, weight, 1e-6, lora_a, rescale, y if adds else None, kernels.LoraTile(16, 32, 4, 2)
    )
    if adds:
        assert torch.equal(y, total)
    torch.testing.assert_close(lora_a_out, normed @ lora_a.T, atol=1e-4, rtol=1e-4)
    expected, expected_scale = quantize_rows_reference(normed, lora_a_out, rescale)
    assert quantized.shape == expected.shape
    torch.testing.assert_close(scale, expected_scale, rtol=1e-5, atol=0)
    assert (quantized.float() != expected.float()).float().mean() < (0.01 if DEVICE == "cuda" else 0.05)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_or_inf_stays_not_finite(kernels, bad):
    x, rescale = torch.ones(2, WIDTH, device=DEVICE), torch.ones(1, device=DEVICE)
    x[1, 7] = bad
    lora_a = stacked_adapters(torch.float32)[1] * 1e-3
    (quantized, scale), lora_a_out = kernels.norm_quantize(x, torch.ones(WIDTH, device=DEVICE), 1e-6, lora_a, rescale)
    numbers = quantized.float() * scale
    torch.testing.assert_close(numbers[0, :WIDTH], torch.ones(WIDTH, device=DEVICE), atol=1e-3, rtol=0.07)
    assert numbers[1, :WIDTH].isnan().any()
    assert lora_a_out[1].isnan().any()


@pytest.mark.skipif(DEVICE == "cuda", reason="a GPU's products in 8 bits take 16-bit results and multiples of 16")
@pytest.mark.parametrize("adds", [True, False])
def test_a_quantized_product_of_a_norm_is_the_same_with_the_kernel_and_without(monkeypatch, adds):
    elementwise = importlib.import_module("texlens.kernels.elementwise.triton")
    x, weight, results = random_tensor(20, WIDTH), random_tensor(WIDTH), []
    for enabled in (True, False):
        monkeypatch.setattr(lora_backend, "ENABLED", dict.fromkeys(lora_backend.ENABLED, enabled))
        y = random_tensor(20, WIDTH, seed=1)
        result, lora_a_out = fp8_product().forward_of_norm(elementwise, x, weight, 1e-6, y if adds else None)
        results.append([result, lora_a_out, y])
    assert torch.equal(results[0][2], results[1][2])
    torch.testing.assert_close(results[0][1], results[1][1], atol=1e-3, rtol=1e-4)
    error = (results[0][0] - results[1][0]).norm()
    assert error < 0.1 * results[1][0].norm()  # the interpreter rounds float8 differently
