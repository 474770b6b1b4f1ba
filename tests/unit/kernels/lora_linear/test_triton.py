"""LoRA products by Triton compared with PyTorch, on a GPU or in Triton's interpreter."""

import importlib.util
import os

import pytest
import torch

from texlens.kernels.adapter import Adapter

interpreted = os.environ.get("TRITON_INTERPRET") == "1"
pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("triton") or not (torch.cuda.is_available() or interpreted),
    reason="no Triton, or no GPU and no interpreter",
)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
HALF = torch.bfloat16 if torch.cuda.is_available() else torch.float16  # the interpreter has no products in bfloat16
CLOSE = {torch.float32: {"atol": 1e-4, "rtol": 1e-4}, HALF: {"atol": 3e-2, "rtol": 3e-2}}
TOKENS, WIDTH, HEIGHT, RANKS = 150, 72, 300, 16
both = pytest.mark.parametrize("dtype", [torch.float32, HALF])


@pytest.fixture
def kernels():
    return importlib.import_module("texlens.kernels.lora_linear.triton")


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
