"""The kernels of each device against their plain twins; Triton's on a GPU, or with TRITON_INTERPRET=1 anywhere."""

import importlib.util
import os

import pytest
import torch

from texlens.kernels import fused
from texlens.kernels.forms import choose_passes

interpreted = os.environ.get("TRITON_INTERPRET") == "1"
can_triton = importlib.util.find_spec("triton") and (torch.cuda.is_available() or interpreted)
FORMS = [
    "cpu",
    pytest.param("triton", marks=pytest.mark.skipif(not can_triton, reason="no Triton, or no GPU and no interpreter")),
]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPE = torch.bfloat16 if torch.cuda.is_available() else torch.float32
CLOSE = {"atol": 2e-2, "rtol": 2e-2} if torch.cuda.is_available() else {"atol": 1e-5, "rtol": 1e-5}
NEAR = 0.03 if torch.cuda.is_available() else 1e-5
TOKENS, WIDTH, WIDE, EPS = 5, 40, 24, 1e-6


@pytest.fixture(params=FORMS)
def form(request):
    return request.param


@pytest.fixture
def passes(form):
    return importlib.import_module(f"texlens.kernels.{form}_passes")


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
    dx, normed = passes.rms_norm_back(slope, x, weight, EPS, added)
    expected = fused.rms_norm_back(slope, x, weight, EPS) + (0 if added is None else added)
    torch.testing.assert_close(dx, expected, **CLOSE)
    torch.testing.assert_close(normed, fused.rms_norm(x, weight, EPS), **CLOSE)


def test_the_activation_and_its_slope(passes):
    wide, slope = drawn(TOKENS, 2 * WIDE), drawn(TOKENS, WIDE, seed=1)
    torch.testing.assert_close(passes.swiglu(wide), fused._swiglu(wide), **CLOSE)
    dwide, again = passes.swiglu_back(slope, wide)
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
    query, key = passes.into_heads(y, queries, keys, width, norms, EPS, cos, sin)
    expected_query, expected_key, _ = fused.heads_of(y, heads, EPS, cos, sin)
    torch.testing.assert_close(query, expected_query, **CLOSE)
    torch.testing.assert_close(key, expected_key, **CLOSE)
    slopes = [drawn(TOKENS, count, width, seed=5 + count) for count in (queries, keys, keys)]
    dy = passes.into_heads_back(*slopes, y, norms, EPS, cos, sin)
    torch.testing.assert_close(dy, fused.heads_of_back(*slopes, y, heads, EPS, cos, sin), **CLOSE)


def layer(drawn_, height: int, width: int) -> fused.Adapted:
    return fused.Adapted(
        drawn_(height, width) / 6,
        None,
        drawn_(2, width, seed=8).requires_grad_(),
        drawn_(height, 2, seed=9).requires_grad_(),
    )


@pytest.mark.parametrize("keep_wide", [True, False])
def test_whole_layers(form, keep_wide):
    queries, keys, width = 4, 2, 12
    heads = fused.Heads(queries, keys, width, drawn(width, seed=3), drawn(width, seed=4))
    qkv = layer(drawn, (queries + 2 * keys) * width, WIDTH)
    out, gate_up, down = layer(drawn, WIDTH, queries * width), layer(drawn, 2 * WIDE, WIDTH), layer(drawn, WIDTH, WIDE)
    norm, x = drawn(WIDTH, seed=7), drawn(TOKENS, WIDTH, seed=6).requires_grad_()
    half = drawn(TOKENS, width // 2, dtype=torch.float32)
    angles = torch.cat([half, half], -1)
    trained = [x, *(part for group in (qkv, out, gate_up, down) for part in (group.down, group.up))]

    def run(form: str):
        passes = choose_passes(form)
        query, key, value = fused.into_heads(x, norm, EPS, qkv, heads, angles.cos(), angles.sin(), passes)
        mixed = torch.cat([query[:, :2], key, value[:, :1], query[:, 2:3]], 1)[:, :queries].flatten(1)
        mixed = mixed + value.repeat(1, 2, 1).flatten(1)
        result = fused.after_attention(mixed, x, norm, EPS, out, gate_up, down, keep_wide, passes)
        return result, torch.autograd.grad(result.float().square().sum(), trained)

    result, slopes = run(form)
    expected, expected_slopes = run("plain")
    torch.testing.assert_close(result, expected, **CLOSE)
    for slope, other in zip(slopes, expected_slopes, strict=True):
        assert (slope - other).float().norm() <= NEAR * other.float().norm()
