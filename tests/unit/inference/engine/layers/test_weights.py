"""Weights in every form compared with the product of the weight that they stand for."""

import importlib.util
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from texlens.inference.engine.layers.weights import (
    CpuWeight,
    DenseWeight,
    Fp8Weight,
    PackedWeight,
    Scratch,
    unsupported_weight,
)
from texlens.models.fp8 import quantize_together

WIDTH, HEIGHTS, RANKS = 32, (16, 32), 8
needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed"
)


def linear_layers(seed=0):
    torch.manual_seed(seed)
    return [nn.Linear(WIDTH, height, bias=False).requires_grad_(False) for height in HEIGHTS]


class Linear8bitLt(nn.Module):
    """What of bitsandbytes' layer of this name the engine reads."""

    def __init__(self, layer):
        super().__init__()
        self.in_features, self.out_features, self.bias = layer.in_features, layer.out_features, None
        scale = layer.weight.abs().amax(1)
        codes = (layer.weight / scale[:, None] * 127).round().to(torch.int8)
        self.weight = nn.Parameter(codes, requires_grad=False)
        self.weight.CB, self.weight.SCB = codes, scale
        self.state = SimpleNamespace(CB=None, SCB=None)

    def values(self):
        return self.weight.float() * (self.weight.SCB / 127)[:, None]


def assert_products(weight, values_ND, *, tolerance=1e-6):
    x, a = torch.randn(5, WIDTH), torch.randn(RANKS, WIDTH)
    weight.write_a(a)
    columns, a_out = weight.products(x)
    torch.testing.assert_close(columns, x @ values_ND.T, rtol=tolerance, atol=tolerance * 10)
    torch.testing.assert_close(a_out, x @ a.T, rtol=1e-5, atol=1e-5)


def test_dense_layers_move_into_one_tensor_and_keep_their_values():
    layers = linear_layers()
    values = torch.cat([layer.weight.clone() for layer in layers])
    assert_products(DenseWeight(layers, RANKS), values)
    assert torch.equal(torch.cat([layer.weight for layer in layers]), values)
    assert layers[1].weight.data_ptr() == layers[0].weight.data_ptr() + HEIGHTS[0] * WIDTH * 4


def test_weights_packed_for_a_cpu_take_new_adapters():
    layers = linear_layers()
    values = torch.cat([layer.weight.clone() for layer in layers])
    weight = CpuWeight(layers, RANKS)
    for _ in range(2):
        assert_products(weight, values)


def test_layers_of_a_larger_tensor_stay_where_they_are():
    whole = torch.randn(2 * sum(HEIGHTS), WIDTH)
    layers = linear_layers()
    layers[0].weight.data, layers[1].weight.data = whole[: HEIGHTS[0]], whole[-HEIGHTS[1] :]
    places = [layer.weight.data_ptr() for layer in layers]
    assert_products(DenseWeight(layers, RANKS), torch.cat([layer.weight for layer in layers]))
    assert [layer.weight.data_ptr() for layer in layers] == places


def test_layers_in_float8_give_their_own_products_in_one():
    layers = quantize_together(linear_layers())
    x = torch.randn(5, WIDTH)
    expected = torch.cat([layer(x) for layer in layers], -1)
    weight = Fp8Weight(layers, RANKS)
    assert torch.equal(weight.products(x)[0], expected)
    assert torch.equal(torch.cat([layer(x) for layer in layers], -1), expected)


@pytest.mark.parametrize("moved", [False, True])
def test_layers_in_int8_are_written_out(moved):
    layers = [Linear8bitLt(layer) for layer in linear_layers()]
    values = torch.cat([layer.values() for layer in layers])
    if moved:  # as after a forward pass of bitsandbytes' own
        for layer in layers:
            layer.state = SimpleNamespace(CB=layer.weight.CB, SCB=layer.weight.SCB)
            layer.weight.CB = layer.weight.SCB = None
    assert [unsupported_weight(layer) for layer in layers] == [None, None]
    assert_products(PackedWeight(layers, RANKS, Scratch(torch.float32)), values)


@needs_bitsandbytes
def test_layers_in_nf4_are_written_out():
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit

    layers = []
    for dense in [nn.Linear(64, 64, bias=False), nn.Linear(64, 128, bias=False)]:
        layer = Linear4bit(64, dense.out_features, bias=False, compute_dtype=torch.float32, quant_type="nf4")
        layer.load_state_dict(dense.state_dict())
        layers.append(layer.to("cpu"))
    values = torch.cat([dequantize_4bit(layer.weight.data, layer.weight.quant_state) for layer in layers])
    x = torch.randn(5, 64)
    columns, _ = PackedWeight(layers, 0, Scratch(torch.float32)).products(x)
    torch.testing.assert_close(columns, x @ values.float().T, rtol=1e-5, atol=1e-4)


def test_scratch_is_as_large_as_the_largest_weight_and_stays_where_it_is():
    scratch = Scratch(torch.float32)
    scratch.reserve(6)
    scratch.reserve(4)
    like = torch.zeros(1)
    assert scratch.matrix(2, 2, like).data_ptr() == scratch.matrix(2, 3, like).data_ptr()
