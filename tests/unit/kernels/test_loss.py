import pytest
import torch

from texlens.kernels.loss import label_row_loss, label_row_loss_plainly


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_the_loss_and_its_slope_equal_the_plain_ones(chunk):
    generator = torch.Generator().manual_seed(0)
    head = torch.randn(20, 6, generator=generator)
    hidden = torch.randn(7, 6, generator=generator, requires_grad=True)
    labels = torch.tensor([3, -100, 0, 19, 7, 7, -100])
    loss = label_row_loss(hidden, head, labels, chunk=chunk)
    (slope,) = torch.autograd.grad(loss / 5, hidden)
    plain = label_row_loss_plainly(hidden, head, labels)
    (expected,) = torch.autograd.grad(plain / 5, hidden)
    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(slope, expected, atol=1e-6, rtol=1e-5)


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
