"""Linear layers with fused adapters."""

import importlib.util

import pytest
import torch

from tests.unit.kernels.lora_linear.products import (
    HEIGHT,
    RANKS,
    TOKENS,
    WIDTH,
    adapters,
    interpreted,
    random_tensor,
)
from texlens.kernels.decoder_layer import reference as fused
from texlens.kernels.lora_linear import backend as lora_backend
from texlens.kernels.lora_linear import fused_linear
from texlens.kernels.lora_linear.augmented import DenseLinear

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("triton") or not (torch.cuda.is_available() or interpreted),
    reason="no Triton, or no GPU and no interpreter",
)


@pytest.mark.parametrize("adds", [True, False])
def test_lora_a_gradient_of_a_norm_needs_no_normalized_rows(kernels, adds):
    x, weight, grad, grad_lora_a_out = (
        random_tensor(37, WIDTH),
        random_tensor(WIDTH),
        random_tensor(37, WIDTH, seed=1),
        random_tensor(37, 10),
    )
    residual = random_tensor(37, WIDTH + 8)[:, :WIDTH] if adds else None
    dx, lora_a_out = kernels.rms_norm_backward(grad, x, weight, 1e-6, residual, grad_lora_a_out, 8)
    expected = fused.rms_norm_backward(grad, x, weight, 1e-6) + (0 if residual is None else residual)
    torch.testing.assert_close(dx[:, :WIDTH], expected, atol=1e-5, rtol=1e-5)
    lora_a_grad = lora_a_out.T @ x * weight
    torch.testing.assert_close(lora_a_grad, grad_lora_a_out.T @ fused.rms_norm(x, weight, 1e-6), atol=1e-4, rtol=1e-4)


def test_a_product_gives_the_same_with_each_kernel_and_without(monkeypatch):
    monkeypatch.setattr(fused_linear, "MIN_WIDTH", HEIGHT)
    parts = adapters()
    grad, lora_a_out = random_tensor(TOKENS, HEIGHT), random_tensor(TOKENS, RANKS)
    results = []
    for enabled in (True, False):
        monkeypatch.setattr(lora_backend, "ENABLED", dict.fromkeys(lora_backend.ENABLED, enabled))
        augmented = random_tensor(HEIGHT + RANKS, WIDTH + RANKS)
        augmented[:HEIGHT, WIDTH:] = augmented[HEIGHT:] = 0
        product = DenseLinear(augmented, HEIGHT, None, parts)
        rows_with_extra = torch.cat([grad, torch.zeros_like(lora_a_out)], 1)
        grads = product.backward(rows_with_extra, lora_a_out)
        assert isinstance(grads.lora_b, torch.Tensor) != enabled
        assert grads.lora_a_out is not None
        results.append(
            [grads.x, grads.lora_a_out, *product.parameter_grads(grads.lora_a_out.T @ grad[:, :WIDTH], grads.lora_b)]
        )
    torch.testing.assert_close(results[0], results[1], atol=1e-3, rtol=1e-4)
