"""The kernels of each device compared with the reference; Triton on a GPU, or with TRITON_INTERPRET=1 anywhere."""

import pytest
import torch

from tests.unit.kernels.elementwise.forms import EPS, MLP_WIDTH, TOKENS, WIDTH, random_tensor
from texlens.kernels.decoder_layer import reference as fused

CLOSE = {"atol": 2e-2, "rtol": 2e-2} if torch.cuda.is_available() else {"atol": 1e-5, "rtol": 1e-5}


def test_the_norm(kernels):
    x, weight = random_tensor(TOKENS, WIDTH), random_tensor(WIDTH)
    torch.testing.assert_close(kernels.rms_norm(x, weight, EPS), fused.rms_norm(x, weight, EPS), **CLOSE)


@pytest.mark.parametrize("adds", [True, False])
def test_the_norms_gradient(kernels, adds):
    x, weight, grad = random_tensor(TOKENS, WIDTH), random_tensor(WIDTH), random_tensor(TOKENS, WIDTH, seed=1)
    residual = random_tensor(TOKENS, WIDTH, seed=2) if adds else None
    dx, normed = kernels.rms_norm_backward(grad, x, weight, EPS, residual)
    expected = fused.rms_norm_backward(grad, x, weight, EPS) + (0 if residual is None else residual)
    torch.testing.assert_close(dx, expected, **CLOSE)
    torch.testing.assert_close(normed, fused.rms_norm(x, weight, EPS), **CLOSE)


def test_the_activation_and_its_gradient(kernels):
    gate_up, grad = random_tensor(TOKENS, 2 * MLP_WIDTH), random_tensor(TOKENS, MLP_WIDTH, seed=1)
    torch.testing.assert_close(kernels.swiglu(gate_up), fused._swiglu(gate_up), **CLOSE)
    dgate_up, repeated = kernels.swiglu_backward(grad, gate_up)
    torch.testing.assert_close(dgate_up, fused._swiglu_backward(grad, gate_up), **CLOSE)
    torch.testing.assert_close(repeated, fused._swiglu(gate_up), **CLOSE)


@pytest.mark.parametrize("normed", [True, False])
@pytest.mark.parametrize(("queries", "keys"), [(4, 2), (3, 1), (2, 2)])
def test_heads_are_split_normalized_and_rotated_with_gradients(kernels, normed, queries, keys):
    width = 12
    y = random_tensor(TOKENS, (queries + 2 * keys) * width)
    half = random_tensor(TOKENS, width // 2, dtype=torch.float32)
    angles = torch.cat([half, half], -1)
    cos, sin = angles.cos(), angles.sin()
    norms = (random_tensor(width, seed=3), random_tensor(width, seed=4)) if normed else None
    heads = fused.Heads(queries, keys, width, *(norms or (None, None)))
    query, key = kernels.split_heads_norm_rope(y, queries, keys, width, norms, EPS, cos, sin)
    expected_query, expected_key, _ = fused.split_heads(y, heads, EPS, cos, sin)
    torch.testing.assert_close(query, expected_query, **CLOSE)
    torch.testing.assert_close(key, expected_key, **CLOSE)
    grads = [random_tensor(TOKENS, count, width, seed=5 + count) for count in (queries, keys, keys)]
    dy = kernels.split_heads_norm_rope_backward(*grads, y, norms, EPS, cos, sin)
    torch.testing.assert_close(dy, fused.split_heads_backward(*grads, y, heads, EPS, cos, sin), **CLOSE)
