"""LoRA products by Triton compared with PyTorch, on a GPU or in Triton's interpreter."""

import importlib.util

import pytest
import torch

from tests.unit.kernels.lora_linear.products import (
    DEVICE,
    HEIGHT,
    RANKS,
    TOKENS,
    adapters,
    interpreted,
    random_tensor,
    stacked_adapters,
)
from texlens.kernels.adapter import Adapter

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("triton") or not (torch.cuda.is_available() or interpreted),
    reason="no Triton, or no GPU and no interpreter",
)
HALF = torch.bfloat16 if torch.cuda.is_available() else torch.float16  # the interpreter has no products in bfloat16
CLOSE = {torch.float32: {"atol": 1e-4, "rtol": 1e-4}, HALF: {"atol": 3e-2, "rtol": 3e-2}}
both = pytest.mark.parametrize("dtype", [torch.float32, HALF])


@both
@pytest.mark.parametrize("starts", [(0, 240), (3, 205)])
def test_one_read_of_a_gradient_gives_both_lora_gradients(kernels, dtype, starts):
    parts = adapters(starts)
    lora_b, _ = stacked_adapters(dtype, parts)
    rows_with_extra, lora_a_out = (
        random_tensor(TOKENS, HEIGHT + RANKS, dtype=dtype),
        random_tensor(TOKENS, RANKS, dtype=dtype),
    )
    grad = rows_with_extra[:, :HEIGHT]
    grad_lora_a_out, lora_b_grads = kernels.lora_b_backward(
        grad, lora_b, lora_a_out, parts, rows_with_extra[:, HEIGHT:], kernels.LoraTile(16, 64, 4, 2, programs=24)
    )
    torch.testing.assert_close(grad_lora_a_out, grad @ lora_b, **CLOSE[dtype])
    assert torch.equal(rows_with_extra[:, HEIGHT:], grad_lora_a_out)
    assert (grad_lora_a_out[:, 10:] == 0).all()
    reference = grad.float().T @ lora_a_out.float()
    for adapter, lora_b_grad in zip(parts, lora_b_grads, strict=True):
        torch.testing.assert_close(
            lora_b_grad, reference[adapter.rows, adapter.columns] * adapter.scaling, atol=1e-3, rtol=1e-4
        )


def test_a_gradient_without_extra_columns_and_of_a_single_row(kernels):
    lora_b, _ = stacked_adapters(torch.float32)
    grad, lora_a_out = random_tensor(1, HEIGHT), random_tensor(1, RANKS)
    grad_lora_a_out, lora_b_grads = kernels.lora_b_backward(grad, lora_b, lora_a_out, adapters())
    torch.testing.assert_close(grad_lora_a_out, grad @ lora_b, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        lora_b_grads[1], torch.outer(grad[0, 240:], lora_a_out[0, 4:10]) * 0.5, atol=1e-4, rtol=1e-4
    )


def test_nan_or_inf_reaches_both_lora_a_output_gradients(kernels):
    lora_b, _ = stacked_adapters(torch.float32)
    grad, lora_a_out = random_tensor(TOKENS, HEIGHT), random_tensor(TOKENS, RANKS)
    grad[7, 250] = float("nan")
    grad_lora_a_out, lora_b_grads = kernels.lora_b_backward(grad, lora_b, lora_a_out, adapters())
    assert grad_lora_a_out[7, 4:10].isnan().all()
    assert grad_lora_a_out[8].isfinite().all()
    assert lora_b_grads[1][10].isnan().all()
    assert lora_b_grads[0].isfinite().all()


@both
@pytest.mark.parametrize("count", [1, 2, 6])
def test_adapters_are_written_as_pytorch_writes_them(kernels, dtype, count):
    parts = [
        Adapter(random_tensor(4, 72, seed=k), random_tensor(30 + k, 4, seed=k), 0.3 * k + 1, slice(40 * k, 41 * k + 30),
                slice(4 * k, 4 * k + 4))
        for k in range(count)
    ]  # fmt: skip
    lora_b, lora_a = (torch.zeros(shape, device=DEVICE, dtype=dtype) for shape in ((300, 40), (32, 80)))
    expected_b, expected_a = lora_b.clone(), lora_a.clone()
    for part in parts:
        torch.mul(part.lora_b, part.scaling, out=expected_b[part.rows, 8:][:, part.columns])
        expected_a[:, :72][part.columns] = part.lora_a
    kernels.write_adapters(parts, lora_b[:, 8:], lora_a[:, :72])
    assert torch.equal(lora_b, expected_b)
    assert torch.equal(lora_a, expected_a)
    assert lora_b.any()
    assert lora_a.any()
