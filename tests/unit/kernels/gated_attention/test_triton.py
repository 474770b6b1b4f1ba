"""Gated attention by kernels compared with the mixer under autograd; on a GPU, or with TRITON_INTERPRET=1 anywhere."""

import pytest
import torch
from transformers.models.qwen3_5.configuration_qwen3_5 import Qwen3_5TextConfig
from transformers.models.qwen3_5.modeling_qwen3_5 import Qwen3_5Attention

from tests.unit.kernels.attention.branched import ROWS, prefixes_of, tokens_of
from tests.unit.kernels.triton_here import DEVICE, skip_module_without_triton
from texlens.kernels import backends
from texlens.kernels.attention.segments import branched_segments, make_segments
from texlens.kernels.gated_attention import api
from texlens.models.packed.mixers import GatedAttention

skip_module_without_triton()

from texlens.kernels.gated_attention import triton as kernels  # noqa: E402

ENDS = [0, 2, 3, 21]
QUERIES, KEYS, WIDTH, TURNING = 4, 2, 24, 8


@pytest.fixture
def mixer() -> GatedAttention:
    torch.manual_seed(0)
    config = Qwen3_5TextConfig(
        hidden_size=32, num_attention_heads=QUERIES, num_key_value_heads=KEYS, head_dim=WIDTH, attention_bias=False
    )
    attention = Qwen3_5Attention(config, 0).to(DEVICE).requires_grad_(False)
    for norm in (attention.q_norm, attention.k_norm):
        torch.nn.init.normal_(norm.weight, 0, 0.3)
    return GatedAttention(attention)


def inputs(tokens: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    y = torch.randn(tokens, 2 * (QUERIES + KEYS) * WIDTH, generator=generator)
    half = torch.randn(tokens, TURNING // 2, generator=generator)
    angles = torch.cat([half, half], -1)
    return [part.to(DEVICE) for part in (y, angles.cos(), angles.sin())]


def reference(mixer, y, cos, sin, segments, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(backends, "TRITON_ENABLED", False)
        return mixer(y, cos, sin, segments)


def strided(x: torch.Tensor) -> torch.Tensor:
    """The left part of a wider tensor, as products with extra columns are."""
    return torch.nn.functional.pad(x, (0, 8))[:, :-8]


@pytest.mark.parametrize("shares_prefixes", [False, True])
def test_the_result_and_the_gradient_of_every_column_equal_those_of_autograd(mixer, monkeypatch, shares_prefixes):
    y, cos, sin = inputs(tokens_of(ROWS) if shares_prefixes else ENDS[-1])
    bounds = make_segments(torch.tensor(ENDS, dtype=torch.int32, device=DEVICE), 18)
    segments = branched_segments(prefixes_of(ROWS, device=DEVICE)) if shares_prefixes else bounds
    y.requires_grad_()
    expected = reference(mixer, y, cos, sin, segments, monkeypatch)
    grad = torch.linspace(-1, 1, expected.numel(), device=DEVICE).view_as(expected)
    (expected_grad,) = torch.autograd.grad(expected, y, grad)
    fused = mixer.with_backward(strided(y.detach()), cos, sin, segments, (8, 16))
    assert fused is not None
    result, backward = fused
    assert (result[:, :-8] - expected).abs().max() < 1e-5 * expected.abs().max()
    actual = backward(strided(grad))
    assert actual.shape == (len(y), y.shape[1] + 16)
    assert (actual[:, :-16] - expected_grad).abs().max() < 1e-5 * expected_grad.abs().max()


def test_queries_and_keys_are_those_of_the_mixer(mixer):
    y, cos, sin = inputs(5)
    query, key, value, _ = mixer.heads(y, cos, sin)
    actual_query, actual_key = kernels.split(mixer.gated_heads, y, cos, sin)
    torch.testing.assert_close(actual_query, query, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(actual_key, key, atol=1e-5, rtol=1e-5)
    assert torch.equal(mixer.gated_heads.values(y), value)


def test_the_kernels_follow_the_protocol_and_run_where_triton_does(monkeypatch):
    assert isinstance(kernels, api.GatedAttentionKernels)
    assert api.gated_attention_kernels(torch.device(DEVICE)) is kernels
    monkeypatch.setattr(backends, "TRITON_ENABLED", False)
    assert api.gated_attention_kernels(torch.device(DEVICE)) is None
