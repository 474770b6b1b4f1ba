"""Log-probabilities of labels: chunks and the gradient by recomputation equal autograd over all logits."""

import pytest
import torch

from texlens.kernels.loss import log_probabilities
from texlens.kernels.loss.log_probabilities import ReferenceKernels, label_scores, label_scores_reference


def scores_and_gradient(hidden, head, labels, weights, temperature, chunk):
    hidden = hidden.clone().requires_grad_()
    if chunk is None:
        scores = label_scores_reference(hidden @ head.T, labels, temperature)
    else:
        scores = label_scores(hidden, head, labels, temperature=temperature, chunk=chunk)
    (scores.log_probabilities * weights).sum().backward()
    return scores, hidden.grad


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_chunks_equal_autograd_over_all_logits(temperature):
    generator = torch.Generator().manual_seed(0)
    hidden, head = torch.randn(7, 5, generator=generator), torch.randn(11, 5, generator=generator)
    labels = torch.tensor([3, 0, -100, 10, 2, 2, -100])
    weights = torch.randn(7, generator=generator)
    expected, expected_gradient = scores_and_gradient(hidden, head, labels, weights, temperature, None)
    scores, gradient = scores_and_gradient(hidden, head, labels, weights, temperature, 3 * ReferenceKernels.work)
    assert torch.allclose(scores.log_probabilities, expected.log_probabilities, atol=1e-6)
    assert torch.allclose(scores.entropies, expected.entropies, atol=1e-6)
    assert torch.allclose(gradient, expected_gradient, atol=1e-6)
    assert gradient[2].abs().max() == 0


def test_float32_work_is_on_an_eighth_of_the_rows_that_a_chunk_has_room_for(monkeypatch):
    linear, rows = log_probabilities.functional.linear, []
    monkeypatch.setattr(
        log_probabilities.functional, "linear", lambda hidden, head: rows.append(len(hidden)) or linear(hidden, head)
    )
    hidden = torch.zeros(20, 4, requires_grad=True)
    scores = label_scores(hidden, torch.ones(3, 4), torch.zeros(20, dtype=torch.int64), chunk=16)
    scores.log_probabilities.sum().backward()
    assert rows == [2] * 20


def test_two_equal_logits_have_a_log_probability_of_minus_ln_2_and_that_entropy():
    scores = label_scores(torch.zeros(1, 4), torch.ones(2, 4), torch.tensor([1]))
    assert scores.log_probabilities.tolist() == pytest.approx([-0.693147], abs=1e-6)
    assert scores.entropies.tolist() == pytest.approx([0.693147], abs=1e-6)


def test_a_trained_head_gets_its_gradient():
    head = torch.zeros(3, 2, requires_grad=True)
    label_scores(torch.ones(1, 2), head, torch.tensor([0])).log_probabilities.sum().backward()
    assert head.grad.tolist() == [pytest.approx([2 / 3] * 2), pytest.approx([-1 / 3] * 2), pytest.approx([-1 / 3] * 2)]
