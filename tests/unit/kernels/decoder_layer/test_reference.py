"""The explicit backward passes compared with finite differences in float64."""

import pytest
import torch
from torch.autograd import gradcheck

from texlens.kernels.decoder_layer.reference import (
    Heads,
    LoraWeight,
    after_attention,
    rotate,
    rotate_backward,
    split_heads_norm_rope,
)

TOKENS, WIDTH, QUERIES, KEYS, HEAD, MLP_WIDTH, EPS = 5, 8, 4, 2, 6, 7, 1e-6


class Drawn:
    def __init__(self):
        self.generator = torch.Generator().manual_seed(0)

    def __call__(self, *shape: int, trained: bool = False) -> torch.Tensor:
        values = torch.randn(*shape, dtype=torch.float64, generator=self.generator) * 0.5
        return values.requires_grad_(trained)


@pytest.mark.parametrize("normed", [True, False])
def test_gradients_up_to_the_heads(normed):
    random_tensor = Drawn()
    norm = random_tensor(HEAD) if normed else None
    heads = Heads(QUERIES, KEYS, HEAD, norm, norm)
    height = (QUERIES + 2 * KEYS) * HEAD
    weight, bias, scale, angles = (
        random_tensor(height, WIDTH),
        random_tensor(height),
        random_tensor(WIDTH),
        random_tensor(TOKENS, HEAD),
    )

    def run(x, lora_a, lora_b):
        return split_heads_norm_rope(
            x, scale, EPS, LoraWeight(weight, bias, lora_a, lora_b), heads, angles.cos(), angles.sin()
        )

    inputs = (
        random_tensor(TOKENS, WIDTH, trained=True),
        random_tensor(3, WIDTH, trained=True),
        random_tensor(height, 3, trained=True),
    )
    assert gradcheck(run, inputs)


@pytest.mark.parametrize("keep_gate_up", [True, False])
def test_gradients_after_attention(keep_gate_up):
    random_tensor = Drawn()
    attn_out = random_tensor(TOKENS, QUERIES * HEAD, trained=True)
    x, norm = random_tensor(TOKENS, WIDTH, trained=True), random_tensor(WIDTH)
    shapes = [(WIDTH, QUERIES * HEAD), (2 * MLP_WIDTH, WIDTH), (WIDTH, MLP_WIDTH)]
    weights = [random_tensor(*shape) for shape in shapes]
    updates = [random_tensor(*size, trained=True) for height, width in shapes for size in ((2, width), (height, 2))]

    def run(attn_out, x, *updates):
        layers = [LoraWeight(w, None, *updates[2 * n : 2 * n + 2]) for n, w in enumerate(weights)]
        return after_attention(attn_out, x, norm, EPS, *layers, keep_gate_up)

    assert gradcheck(run, (attn_out, x, *updates))


def test_gradients_without_adapters():
    random_tensor = Drawn()
    layers = [
        LoraWeight(random_tensor(*shape), None, None, None)
        for shape in [(WIDTH, QUERIES * HEAD), (2 * MLP_WIDTH, WIDTH), (WIDTH, MLP_WIDTH)]
    ]
    norm = random_tensor(WIDTH)
    inputs = random_tensor(TOKENS, QUERIES * HEAD, trained=True), random_tensor(TOKENS, WIDTH, trained=True)
    assert gradcheck(lambda attn_out, x: after_attention(attn_out, x, norm, EPS, *layers, True), inputs)


def test_rotate_backward_is_the_inverse():
    random_tensor = Drawn()
    half = random_tensor(TOKENS, HEAD // 2)
    angles = torch.cat([half, half], -1)
    x = random_tensor(TOKENS, QUERIES, HEAD)
    torch.testing.assert_close(rotate_backward(rotate(x, angles.cos(), angles.sin()), angles.cos(), angles.sin()), x)
