"""The loss in chunks compared with its definition; Triton's kernel on a GPU, or with TRITON_INTERPRET=1 anywhere."""

import pytest
import torch

from texlens.kernels.loss.chunked import BACKENDS, label_row_loss
from texlens.kernels.loss.reference import chunk_loss_reference, label_row_loss_reference


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_the_loss_and_its_gradient_equal_the_reference(chunk):
    generator = torch.Generator().manual_seed(0)
    head = torch.randn(20, 6, generator=generator)
    hidden = torch.randn(7, 6, generator=generator, requires_grad=True)
    labels = torch.tensor([3, -100, 0, 19, 7, 7, -100])
    loss = label_row_loss(hidden, head, labels, chunk=chunk)
    (grad,) = torch.autograd.grad(loss / 5, hidden)
    reference = label_row_loss_reference(hidden, head, labels)
    (expected,) = torch.autograd.grad(reference / 5, hidden)
    torch.testing.assert_close(loss, reference)
    torch.testing.assert_close(grad, expected, atol=1e-6, rtol=1e-5)


def test_a_head_that_is_trained_gets_its_gradient():
    head = torch.ones(5, 2, requires_grad=True)
    label_row_loss(torch.tensor([[1.0, 2.0]]), head, torch.tensor([4])).backward()
    assert head.grad is not None
    torch.testing.assert_close(head.grad[4], torch.tensor([-0.8, -1.6]))


def test_without_labels_the_loss_is_nothing():
    hidden = torch.ones(2, 3, requires_grad=True)
    loss = label_row_loss(hidden, torch.ones(4, 3), torch.tensor([-100, -100]))
    loss.backward()
    assert loss == 0
    assert hidden.grad.abs().sum() == 0


def test_no_row_at_all_is_no_error():
    hidden = torch.ones(0, 3, requires_grad=True)
    loss = label_row_loss(hidden, torch.ones(4, 3), torch.zeros(0, dtype=torch.long))
    loss.backward()
    assert loss == 0


def test_the_form_of_the_loss_follows_that_of_the_kernels():
    assert BACKENDS["reference"] is chunk_loss_reference
    assert BACKENDS["cpu"] is chunk_loss_reference
