"""A delta net by kernels over branches of one prefix compared with the mixer under autograd; on a GPU, or with
TRITON_INTERPRET=1 anywhere."""

import pytest
import torch

from tests.unit.kernels.attention.branched import ROWS, prefixes_of, tokens_of
from tests.unit.kernels.triton_here import DEVICE, skip_module_without_triton
from texlens.kernels.attention.segments import branched_segments

skip_module_without_triton()

from tests.unit.kernels.delta_net.test_triton import inputs, mixer, reference, strided  # noqa: E402

__all__ = ["mixer"]
SHORT = [(1, [1, 2, 5]), (2, [3])]
LONG = [(70, [66, 2]), (3, [])]


@pytest.mark.parametrize("rows", [ROWS, SHORT, LONG])
def test_the_result_and_the_gradient_of_every_column_equal_those_of_autograd(mixer, rows, monkeypatch):
    segments, tokens = branched_segments(prefixes_of(rows, DEVICE)), tokens_of(rows)
    y = inputs(tokens).requires_grad_()
    expected = reference(mixer, y, segments, monkeypatch)
    grad = torch.linspace(-1, 1, expected.numel(), device=DEVICE).view_as(expected)
    (expected_grad,) = torch.autograd.grad(expected, y, grad)
    none = torch.zeros(0, device=DEVICE)
    fused = mixer.with_backward(strided(inputs(tokens)), none, none, segments, (8, 16))
    assert fused is not None
    result, backward = fused
    assert (result[:, :-8] - expected).abs().max() < 1e-5 * expected.abs().max()
    actual = backward(strided(grad))
    assert actual.shape == (tokens, y.shape[1] + 16)
    assert (actual[:, :-16] - expected_grad).abs().max() < 1e-5 * expected_grad.abs().max()


def test_a_branch_of_nan_changes_its_siblings_neither_in_results_nor_in_gradients(mixer):
    tokens, poisoned = tokens_of(), 8  # the second of three branches
    others = torch.tensor([token for token in range(tokens) if token != poisoned], device=DEVICE)
    segments, none = branched_segments(prefixes_of(device=DEVICE)), torch.zeros(0, device=DEVICE)
    results = []
    for value in (1.0, torch.nan):
        y = inputs(tokens)
        y[poisoned] = value
        result, _ = mixer.with_backward(y, none, none, segments, (0, 0)) or (y, None)
        results.append(result[others])
    assert torch.equal(*results)
