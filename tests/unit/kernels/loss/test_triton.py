"""The kernel of the loss against its reference."""

import pytest
import torch

from tests.unit.kernels.triton_here import DEVICE, needs_triton
from texlens.kernels.loss.chunked import BACKENDS, label_row_loss
from texlens.kernels.loss.reference import chunk_loss_reference, label_row_loss_reference


@needs_triton
@pytest.mark.parametrize("vocabulary", [300, 8192, 8195, 20_001])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_kernel_equals_its_reference(vocabulary, dtype):
    generator = torch.Generator().manual_seed(vocabulary)
    logits = (4 * torch.randn(4, vocabulary, generator=generator)).to(DEVICE, dtype)
    labels = torch.tensor([vocabulary - 1, -100, 0, 17], device=DEVICE)
    expected, expected_gradient = chunk_loss_reference(logits.clone(), labels, True)
    loss, grad = BACKENDS["triton"](logits, labels, True)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(grad, expected_gradient, atol=1e-6, rtol=1e-5 if dtype == torch.float32 else 1e-2)
    assert grad.data_ptr() == logits.data_ptr()
    assert grad[1].abs().sum() == 0


@needs_triton
def test_the_kernel_leaves_logits_alone_where_no_gradient_is_needed():
    logits = torch.tensor([[1.0, 2.0, 4.0]], device=DEVICE)
    loss, _ = BACKENDS["triton"](logits, torch.tensor([2], device=DEVICE), False)
    assert loss.item() == pytest.approx(0.16985, abs=1e-4)
    assert logits.tolist() == [[1.0, 2.0, 4.0]]


@needs_triton
@pytest.mark.parametrize("chunk", [2, 100])
def test_a_loss_through_the_kernel_has_the_gradient_of_the_reference(chunk):
    generator = torch.Generator().manual_seed(1)
    head = torch.randn(20, 6, generator=generator).to(DEVICE)
    hidden = torch.randn(5, 6, generator=generator).to(DEVICE).requires_grad_()
    labels = torch.tensor([3, -100, 0, 19, 7], device=DEVICE)
    loss = label_row_loss(hidden, head, labels, chunk=chunk, chunk_loss=BACKENDS["triton"])
    reference = label_row_loss_reference(hidden, head, labels)
    torch.testing.assert_close(loss, reference, atol=1e-4, rtol=1e-5)
    (grad,), (expected,) = torch.autograd.grad(loss / 5, hidden), torch.autograd.grad(reference / 5, hidden)
    torch.testing.assert_close(grad, expected, atol=1e-4 if DEVICE == "cuda" else 1e-6, rtol=1e-4)


@pytest.mark.parametrize("form", ["reference", pytest.param("triton", marks=needs_triton)])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_logit_of_nan_or_inf_makes_a_loss_that_is_none(form, bad):
    logits = torch.tensor([[1.0, bad, 4.0]], device=DEVICE)
    loss, _ = BACKENDS[form](logits, torch.tensor([2], device=DEVICE), True)
    assert not torch.isfinite(loss)
