"""The kernels of each device against their plain twins; Triton's on a GPU, or with TRITON_INTERPRET=1 anywhere."""

import importlib.util
import os

import pytest
import torch

from texlens.kernels.decoder_layer import reference as fused

interpreted = os.environ.get("TRITON_INTERPRET") == "1"
can_triton = importlib.util.find_spec("triton") and (torch.cuda.is_available() or interpreted)
FORMS = [
    pytest.param("cpu", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU's numbers have 16 bits")),
    pytest.param("triton", marks=pytest.mark.skipif(not can_triton, reason="no Triton, or no GPU and no interpreter")),
]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPE = torch.bfloat16 if torch.cuda.is_available() else torch.float32
CLOSE = {"atol": 2e-2, "rtol": 2e-2} if torch.cuda.is_available() else {"atol": 1e-5, "rtol": 1e-5}
NEAR = 0.03 if torch.cuda.is_available() else 1e-5
TOKENS, WIDTH, WIDE, EPS = 5, 40, 24, 1e-6


@pytest.fixture(params=FORMS)
def passes(request):
    return importlib.import_module(f"texlens.kernels.elementwise.{request.param}")


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = DTYPE) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(*shape, generator=generator).to(DEVICE, dtype)


def test_the_norm(passes):
    x, weight = drawn(TOKENS, WIDTH), drawn(WIDTH)
    torch.testing.assert_close(passes.rms_norm(x, weight, EPS), fused.rms_norm(x, weight, EPS), **CLOSE)


@pytest.mark.parametrize("adds", [True, False])
def test_the_norms_slope(passes, adds):
    x, weight, slope = drawn(TOKENS, WIDTH), drawn(WIDTH), drawn(TOKENS, WIDTH, seed=1)
    added = drawn(TOKENS, WIDTH, seed=2) if adds else None
    dx, normed = passes.rms_norm_backward(slope, x, weight, EPS, added)
    expected = fused.rms_norm_backward(slope, x, weight, EPS) + (0 if added is None else added)
    torch.testing.assert_close(dx, expected, **CLOSE)
    torch.testing.assert_close(normed, fused.rms_norm(x, weight, EPS), **CLOSE)


def test_the_activation_and_its_slope(passes):
    wide, slope = drawn(TOKENS, 2 * WIDE), drawn(TOKENS, WIDE, seed=1)
    torch.testing.assert_close(passes.swiglu(wide), fused._swiglu(wide), **CLOSE)
    dwide, again = passes.swiglu_backward(slope, wide)
    torch.testing.assert_close(dwide, fused._swiglu_back(slope, wide), **CLOSE)
    torch.testing.assert_close(again, fused._swiglu(wide), **CLOSE)


@pytest.mark.parametrize("normed", [True, False])
@pytest.mark.parametrize(("queries", "keys"), [(4, 2), (3, 1), (2, 2)])
def test_the_way_into_heads_and_back(passes, normed, queries, keys):
    width = 12
    y = drawn(TOKENS, (queries + 2 * keys) * width)
    half = drawn(TOKENS, width // 2, dtype=torch.float32)
    angles = torch.cat([half, half], -1)
    cos, sin = angles.cos(), angles.sin()
    norms = (drawn(width, seed=3), drawn(width, seed=4)) if normed else None
    heads = fused.Heads(queries, keys, width, *(norms or (None, None)))
    query, key = passes.split_heads_norm_rope(y, queries, keys, width, norms, EPS, cos, sin)
    expected_query, expected_key, _ = fused.split_heads(y, heads, EPS, cos, sin)
    torch.testing.assert_close(query, expected_query, **CLOSE)
    torch.testing.assert_close(key, expected_key, **CLOSE)
    slopes = [drawn(TOKENS, count, width, seed=5 + count) for count in (queries, keys, keys)]
    dy = passes.split_heads_norm_rope_backward(*slopes, y, norms, EPS, cos, sin)
    torch.testing.assert_close(dy, fused.split_heads_backward(*slopes, y, heads, EPS, cos, sin), **CLOSE)


def test_what_has_a_border_is_the_same_beside_it(passes):
    x, weight, slope, added = drawn(TOKENS, WIDTH), drawn(WIDTH), drawn(TOKENS, WIDTH, seed=1), drawn(TOKENS, WIDTH + 8)
    added = added[:, :WIDTH]
    wide, along = drawn(TOKENS, 2 * WIDE), drawn(TOKENS, WIDE, seed=1)
    results = [
        lambda border: passes.rms_norm(x, weight, EPS, border),
        lambda border: passes.add_rms_norm(x, slope.clone(), weight, EPS, border)[1],
        lambda border: passes.rms_norm_backward(slope, x, weight, EPS, added, border)[0],
        lambda border: passes.swiglu(wide, border),
        lambda border: passes.swiglu_backward(along, wide, border)[0],
    ]
    for result in results:
        bordered, bare = result(8), result(0)
        assert bordered.shape[1] == bare.shape[1] + 8
        assert torch.equal(bordered[:, : bare.shape[1]], bare)
