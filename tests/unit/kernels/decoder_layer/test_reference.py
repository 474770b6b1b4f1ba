"""The backward passes that are written out, against finite differences in float64."""

import pytest
import torch
from torch.autograd import gradcheck

from texlens.kernels.decoder_layer.reference import Adapted, Heads, after_attention, split_heads_norm_rope, rotate, rotate_backward

TOKENS, WIDTH, QUERIES, KEYS, HEAD, WIDE, EPS = 5, 8, 4, 2, 6, 7, 1e-6


class Drawn:
    def __init__(self):
        self.generator = torch.Generator().manual_seed(0)

    def __call__(self, *shape: int, trained: bool = False) -> torch.Tensor:
        values = torch.randn(*shape, dtype=torch.float64, generator=self.generator) * 0.5
        return values.requires_grad_(trained)


@pytest.mark.parametrize("normed", [True, False])
def test_the_way_into_heads_has_the_right_slopes(normed):
    drawn = Drawn()
    norm = drawn(HEAD) if normed else None
    heads = Heads(QUERIES, KEYS, HEAD, norm, norm)
    height = (QUERIES + 2 * KEYS) * HEAD
    weight, bias, scale, angles = drawn(height, WIDTH), drawn(height), drawn(WIDTH), drawn(TOKENS, HEAD)

    def run(x, down, up):
        return split_heads_norm_rope(x, scale, EPS, Adapted(weight, bias, down, up), heads, angles.cos(), angles.sin())

    inputs = drawn(TOKENS, WIDTH, trained=True), drawn(3, WIDTH, trained=True), drawn(height, 3, trained=True)
    assert gradcheck(run, inputs)


@pytest.mark.parametrize("keep_wide", [True, False])
def test_the_way_after_attention_has_the_right_slopes(keep_wide):
    drawn = Drawn()
    mixed = drawn(TOKENS, QUERIES * HEAD, trained=True)
    x, norm = drawn(TOKENS, WIDTH, trained=True), drawn(WIDTH)
    shapes = [(WIDTH, QUERIES * HEAD), (2 * WIDE, WIDTH), (WIDTH, WIDE)]
    weights = [drawn(*shape) for shape in shapes]
    updates = [drawn(*size, trained=True) for height, width in shapes for size in ((2, width), (height, 2))]

    def run(mixed, x, *updates):
        layers = [Adapted(w, None, *updates[2 * n : 2 * n + 2]) for n, w in enumerate(weights)]
        return after_attention(mixed, x, norm, EPS, *layers, keep_wide)

    assert gradcheck(run, (mixed, x, *updates))


def test_layers_without_adapters_pass_slopes_on():
    drawn = Drawn()
    layers = [
        Adapted(drawn(*shape), None, None, None)
        for shape in [(WIDTH, QUERIES * HEAD), (2 * WIDE, WIDTH), (WIDTH, WIDE)]
    ]
    norm = drawn(WIDTH)
    inputs = drawn(TOKENS, QUERIES * HEAD, trained=True), drawn(TOKENS, WIDTH, trained=True)
    assert gradcheck(lambda mixed, x: after_attention(mixed, x, norm, EPS, *layers, True), inputs)


def test_turning_back_undoes_turning():
    drawn = Drawn()
    half = drawn(TOKENS, HEAD // 2)
    angles = torch.cat([half, half], -1)
    x = drawn(TOKENS, QUERIES, HEAD)
    torch.testing.assert_close(rotate_backward(rotate(x, angles.cos(), angles.sin()), angles.cos(), angles.sin()), x)
