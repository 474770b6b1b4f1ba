"""The gated delta rule compared with its definition and with transformers, across chunk borders."""

from itertools import pairwise

import pytest
import torch
from transformers.models.qwen3_5.modeling_qwen3_5 import (
    torch_chunk_gated_delta_rule,
    torch_recurrent_gated_delta_rule,
)

from texlens.kernels.delta_rule.reference import delta_rule, delta_step

KEYS, VALUES, WIDTH_X, WIDTH_Y = 2, 4, 8, 6
BORDERS = [0, 1, 9, 9, 16, 24, 41]
"""Segments of 1, 8, 0, 7, 8 and 17 tokens: in chunks of 8 tokens shorter, equal and longer than one."""


def tensors(tokens: int = 41, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(tokens, *shape, generator=generator, dtype=dtype)

    return [
        draw(KEYS, WIDTH_X),
        draw(KEYS, WIDTH_X),
        draw(VALUES, WIDTH_Y),
        -draw(VALUES).exp(),
        draw(VALUES).sigmoid(),
    ]


def bounds(*ends: int) -> torch.Tensor:
    return torch.tensor(ends, dtype=torch.int32)


@pytest.mark.parametrize("chunk", [3, 8, 64])
def test_a_pack_equals_its_segments_token_by_token(chunk):
    parts = tensors()
    output, states = delta_rule(*parts, bounds(*BORDERS), chunk=chunk)
    for number, (start, end) in enumerate(pairwise(BORDERS)):
        state = torch.zeros(1, VALUES, WIDTH_X, WIDTH_Y, dtype=torch.float64)
        for token in range(start, end):
            expected, state = delta_step(*(part[token : token + 1] for part in parts), state)
            torch.testing.assert_close(output[token : token + 1], expected)
        torch.testing.assert_close(states[number], state[0])


@pytest.mark.parametrize("stock", [torch_chunk_gated_delta_rule, torch_recurrent_gated_delta_rule])
def test_one_segment_equals_transformers(stock):
    """Whose functions repeat key heads in later versions only."""
    query, key, value, decay, beta = tensors(70, torch.float32)
    output, states = delta_rule(query, key, value, decay, beta, bounds(0, 70))
    query, key = (part.repeat_interleave(VALUES // KEYS, 1) for part in (query, key))
    expected, state = stock(
        query[None],
        key[None],
        value[None],
        g=decay[None],
        beta=beta[None],
        output_final_state=True,
        use_qk_l2norm_in_kernel=True,
    )
    torch.testing.assert_close(output, expected[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(states, state, atol=1e-5, rtol=1e-5)


def test_gradients_equal_those_of_each_segment_one_segment():
    parts = [part.requires_grad_() for part in tensors()]
    output, _ = delta_rule(*parts, bounds(*BORDERS), chunk=8)
    weight = torch.linspace(0.1, 1, output.numel(), dtype=output.dtype).view_as(output)
    grads = torch.autograd.grad((output * weight).sum(), parts)
    for start, end in pairwise(BORDERS):
        if start == end:
            continue
        segment = [part.detach()[start:end].requires_grad_() for part in parts]
        expected, _ = delta_rule(*segment, bounds(0, end - start), chunk=5)
        for grad, expected_grad in zip(
            grads, torch.autograd.grad((expected * weight[start:end]).sum(), segment), strict=True
        ):
            torch.testing.assert_close(grad[start:end], expected_grad)


def test_gradients_equal_finite_differences():
    parts = [part[:5, :1, :2] if part.ndim == 3 else part[:5, :1] for part in tensors()]
    inputs = [part.clone().requires_grad_() for part in parts]
    assert torch.autograd.gradcheck(lambda *inputs: delta_rule(*inputs, bounds(0, 2, 5), chunk=2), inputs)


def test_a_neighbor_of_nan_changes_nothing():
    parts = tensors()
    for part in parts:
        part[16:24] = torch.nan
    inputs = [part.clone().requires_grad_() for part in parts]
    output, states = delta_rule(*inputs, bounds(*BORDERS), chunk=8)
    others = torch.cat([torch.arange(16), torch.arange(24, 41)])
    clean, clean_states = delta_rule(*tensors(), bounds(*BORDERS), chunk=8)
    assert torch.equal(output[others], clean[others])
    assert torch.equal(states[[0, 1, 3, 5]], clean_states[[0, 1, 3, 5]])
    for grad in torch.autograd.grad(output[others].sum(), inputs):
        assert grad[others].isfinite().all()


def test_the_state_is_float32_for_16_bit_inputs():
    parts = [part.to(torch.bfloat16) for part in tensors()]
    output, states = delta_rule(*parts, bounds(*BORDERS))
    assert output.dtype == torch.bfloat16
    assert states.dtype == torch.float32


def test_no_tokens_give_empty_states():
    output, states = delta_rule(*tensors(0), bounds(0, 0))
    assert output.shape == (0, VALUES, WIDTH_Y)
    assert not states.any()
