"""The reference of the loss against PyTorch's cross-entropy and its gradient."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from texlens.kernels.loss.reference import chunk_loss_reference, label_row_loss_reference

LABELS = torch.tensor([2, -100, 0])


@pytest.mark.parametrize("needs_grad", [True, False])
def test_rows_without_a_label_have_neither_loss_nor_gradient(needs_grad):
    logits = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    expected = cross_entropy(logits, LABELS, ignore_index=-100, reduction="sum")
    expected.backward()
    loss, grad = chunk_loss_reference(logits.detach().clone(), LABELS, needs_grad)
    torch.testing.assert_close(loss, expected.detach())
    if needs_grad:
        torch.testing.assert_close(grad, logits.grad)
        assert grad[1].eq(0).all()


def test_the_loss_of_hidden_rows_is_that_of_their_logits():
    generator = torch.Generator().manual_seed(1)
    hidden, head = torch.randn(3, 4, generator=generator), torch.randn(5, 4, generator=generator)
    expected = cross_entropy(hidden @ head.T, LABELS, ignore_index=-100, reduction="sum")
    torch.testing.assert_close(label_row_loss_reference(hidden, head, LABELS), expected)
