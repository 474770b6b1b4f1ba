"""The kernels of label scores against their reference."""

import pytest
import torch

from tests.unit.kernels.triton_here import DEVICE, needs_triton
from texlens.kernels.loss.log_probabilities import BACKENDS, label_scores, label_scores_reference

pytestmark = needs_triton


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("vocabulary", [300, 8192, 8195, 20_001])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_both_passes_equal_their_reference(vocabulary, dtype, temperature):
    generator = torch.Generator().manual_seed(vocabulary)
    logits = (6 * torch.randn(4, vocabulary, generator=generator) - 40).to(DEVICE, dtype)
    labels = torch.tensor([vocabulary - 1, -100, 0, 17], device=DEVICE)
    grad = torch.tensor([0.5, 2.0, -1.5, 1.0], device=DEVICE)
    reference, kernels = BACKENDS["reference"], BACKENDS["triton"]
    expected = reference.forward(logits, labels, temperature)
    scores = kernels.forward(logits, labels, temperature)
    for value, other in zip(scores, expected, strict=True):
        torch.testing.assert_close(value, other, atol=2e-5, rtol=2e-6)
    expected_gradient = reference.backward(logits.clone(), labels, expected[2], grad, temperature)
    gradient = kernels.backward(logits, labels, scores[2], grad, temperature)
    torch.testing.assert_close(gradient, expected_gradient, atol=1e-6, rtol=1e-5 if dtype == torch.float32 else 1e-2)
    assert gradient.data_ptr() == logits.data_ptr()
    assert gradient[1].abs().sum() == 0


@pytest.mark.parametrize("chunk", [2, 100])
def test_scores_through_the_kernels_have_the_gradient_of_autograd(chunk):
    generator = torch.Generator().manual_seed(1)
    head = torch.randn(20, 6, generator=generator).to(DEVICE)
    hidden = torch.randn(5, 6, generator=generator).to(DEVICE).requires_grad_()
    labels, weights = torch.tensor([3, -100, 0, 19, 7], device=DEVICE), torch.arange(5.0, device=DEVICE) - 2
    scores = label_scores(hidden, head, labels, temperature=1.3, chunk=chunk, kernels=BACKENDS["triton"])
    reference = label_scores_reference(hidden @ head.T, labels, 1.3)
    torch.testing.assert_close(scores.log_probabilities, reference.log_probabilities, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(scores.entropies, reference.entropies, atol=1e-4, rtol=1e-5)
    (grad,) = torch.autograd.grad((scores.log_probabilities * weights).sum(), hidden)
    (expected,) = torch.autograd.grad((reference.log_probabilities * weights).sum(), hidden)
    torch.testing.assert_close(grad, expected, atol=1e-4 if DEVICE == "cuda" else 1e-6, rtol=1e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_logit_of_nan_or_inf_makes_a_score_that_is_none(bad):
    logits = torch.tensor([[1.0, bad, 4.0]], device=DEVICE)
    for name in ("reference", "triton"):
        chosen, _, _ = BACKENDS[name].forward(logits, torch.tensor([2], device=DEVICE), 1.0)
        assert not torch.isfinite(chosen).all()
