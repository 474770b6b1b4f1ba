"""The causal convolution compared with torch's, segment by segment."""

from itertools import pairwise

import pytest
import torch
from torch.nn import functional

from texlens.kernels.attention.segments import offsets_of
from texlens.kernels.causal_conv.reference import causal_conv, causal_conv_step, last_inputs

BORDERS = [0, 1, 3, 3, 12, 20]
CHANNELS, WIDTH = 5, 4


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BORDERS[-1], CHANNELS, generator=generator, dtype=torch.float64)
    return x, torch.randn(CHANNELS, WIDTH, generator=generator, dtype=torch.float64)


def bounds():
    return torch.tensor(BORDERS, dtype=torch.int32)


def one_segment(x, kernel):
    padded = functional.pad(x.T, (WIDTH - 1, 0))
    return functional.silu(functional.conv1d(padded[None], kernel[:, None], groups=CHANNELS))[0].T


def test_a_pack_equals_its_segments(inputs):
    x, kernel = inputs
    packed = causal_conv(x, kernel, offsets_of(bounds(), len(x)))
    for start, end in pairwise(BORDERS):
        if end > start:
            torch.testing.assert_close(packed[start:end], one_segment(x[start:end], kernel))


def test_a_neighbor_of_nan_changes_nothing(inputs):
    x, kernel = inputs
    poisoned = x.clone()
    poisoned[3:12] = torch.nan
    poisoned.requires_grad_()
    packed = causal_conv(poisoned, kernel, offsets_of(bounds(), len(x)))
    assert torch.equal(packed[12:], causal_conv(x, kernel, offsets_of(bounds(), len(x)))[12:])
    (grad,) = torch.autograd.grad(packed[12:].sum(), poisoned)
    assert grad[:3].isfinite().all()
    assert grad[12:].isfinite().all()


def test_steps_after_a_segment_equal_the_longer_segment(inputs):
    x, kernel = inputs
    before = last_inputs(x, bounds(), WIDTH)
    assert before.shape == (5, CHANNELS, WIDTH - 1)
    for number, (start, end) in enumerate(pairwise(BORDERS)):
        new = x[:2] + 1
        window = before[number : number + 1]
        for token in new:
            result, window = causal_conv_step(token[None], kernel, window)
        torch.testing.assert_close(result[0], one_segment(torch.cat([x[start:end], new]), kernel)[-1])
