"""SwiGLU computed together with the adapters around it, compared with separate operations; on a GPU, or with
TRITON_INTERPRET=1."""

import importlib.util
import os

import pytest
import torch

interpreted = os.environ.get("TRITON_INTERPRET") == "1"
if not importlib.util.find_spec("triton") or not (torch.cuda.is_available() or interpreted):
    pytest.skip("no Triton, or no GPU and no interpreter", allow_module_level=True)

from texlens.kernels.adapter import Adapter, padded_ranks  # noqa: E402
from texlens.kernels.dropout.mask import DropoutSeed, LoraDropout  # noqa: E402
from texlens.kernels.dropout.reference import dropped_product, dropped_sum  # noqa: E402
from texlens.kernels.elementwise import triton as triton_elementwise  # noqa: E402
from texlens.kernels.fp8.format import fp8_unsupported_reason  # noqa: E402
from texlens.kernels.fp8.reference import quantize_rows_reference  # noqa: E402
from texlens.kernels.lora_linear.augmented import DenseLinear  # noqa: E402
from texlens.kernels.lora_linear.fp8_linear import Fp8FusedLinear  # noqa: E402
from texlens.kernels.lora_linear.fused_linear import sum_over_tokens  # noqa: E402
from texlens.kernels.swiglu import backend as swiglu_backend  # noqa: E402
from texlens.kernels.swiglu import triton as triton_swiglu  # noqa: E402
from texlens.kernels.swiglu.triton import SwigluTile  # noqa: E402

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
HALF = torch.bfloat16 if DEVICE == "cuda" else torch.float16  # the interpreter's products of bfloat16 are wrong
NEAR = {torch.float32: 1e-5, HALF: 1e-2}
OFTEN = 0.01 if DEVICE == "cuda" else 0.05  # values that round to the other side; the interpreter rounds some wrongly
TILE, TALL = SwigluTile(16, 16, 16, 4, 1), SwigluTile(16, 32, 32, 4, 1, tile_left=True)
needs_codes = pytest.mark.skipif(
    DEVICE == "cuda" and bool(fp8_unsupported_reason(torch.device("cuda"))), reason="a GPU without float8"
)


def random_tensor(*shape: int, seed: int = 0, dtype=torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape))).to(DEVICE, dtype)


def adapters_of(width: int, gate: int, up: int, depth: int = 24) -> tuple[Adapter, ...]:
    results, column = [], 0
    for half, ranks in enumerate((gate, up)):
        if ranks:
            rows, columns = slice(half * width, (half + 1) * width), slice(column, column + ranks)
            outputs = random_tensor(ranks, depth, seed=half) / 5, random_tensor(width, ranks, seed=half) / 5
            results.append(Adapter(*(part.requires_grad_() for part in outputs), 2.0 - half, rows, columns))
            column += ranks
    return tuple(results)


class Case:
    """Inputs of the backward pass, and the results of separate operations, with sums in float32."""

    def __init__(self, tokens: int, width: int, gate: int, up: int, down: int, dtype=torch.float32):
        self.adapters, self.width, self.dtype = adapters_of(width, gate, up), width, dtype
        ranks = padded_ranks(self.adapters)
        self.lora_b = torch.zeros(2 * width, ranks, device=DEVICE)
        for result in self.adapters:
            self.lora_b[result.rows, result.columns] = result.lora_b.detach() * result.scaling
        self.lora_b = self.lora_b.to(dtype)
        self.gate_up, self.dact = (
            random_tensor(tokens, 2 * width, dtype=dtype),
            random_tensor(tokens, width, seed=1, dtype=dtype),
        )
        self.lora_a_out = random_tensor(tokens, ranks, seed=2, dtype=dtype)
        self.grad_lora_a_out = random_tensor(tokens, down, seed=3, dtype=dtype) if down else None
        self.inputs = self.dact, self.gate_up, self.lora_a_out, self.grad_lora_a_out, self.lora_b, self.adapters

    def check_grads(self, grad_lora_a_out, grads_lora_b, grad_down_lora_a):
        dgate_up, act = triton_elementwise.swiglu_backward(self.dact, self.gate_up)
        tolerance = NEAR[self.dtype]
        assert off(grad_lora_a_out, dgate_up.float() @ self.lora_b.float()) < tolerance
        lora_b_grad = dgate_up.float().T @ self.lora_a_out.float()
        assert len(grads_lora_b) == len(self.adapters)
        for grad, adapter in zip(grads_lora_b, self.adapters, strict=True):
            assert off(grad, lora_b_grad[adapter.rows, adapter.columns] * adapter.scaling) < 1e-5
        assert (grad_down_lora_a is None) == (self.grad_lora_a_out is None)
        if self.grad_lora_a_out is not None:
            assert off(grad_down_lora_a, sum_over_tokens(self.grad_lora_a_out.float(), act.float())) < 1e-5


def off(results: torch.Tensor, expected: torch.Tensor) -> float:
    return float((results.float() - expected).norm() / expected.norm())


CASES = [
    pytest.param((20, 40, 4, 6, 8), id="several spans, columns that fill no tile, ranks that need padding"),
    pytest.param((5, 32, 16, 16, 16), id="fewer rows than a tile"),
    pytest.param((17, 48, 0, 20, 0), id="only up adapted"),
    pytest.param((17, 32, 5, 0, 24), id="only gate and down adapted"),
]


@pytest.mark.parametrize(
    ("tile", "dtype"), [(TILE, torch.float32), (TALL, HALF), (TILE._replace(partial_sums=False), HALF), (TILE, HALF)]
)
@pytest.mark.parametrize("case", CASES)
def test_the_backward_pass_is_that_of_separate_kernels(case, dtype, tile):
    result = Case(*case, dtype)
    rows, lora_a_out, *grads = triton_swiglu.swiglu_backward_augmented(*result.inputs, tile)
    assert torch.equal(rows[:, : 2 * result.width], triton_elementwise.swiglu_backward(result.dact, result.gate_up)[0])
    assert torch.equal(rows[:, 2 * result.width :], lora_a_out)
    result.check_grads(lora_a_out, *grads)


@needs_codes
@pytest.mark.parametrize(("case", "tile"), [(CASES[0].values[0], TILE), (CASES[3].values[0], TALL)])
def test_the_backward_pass_in_8_bits_gives_the_fp8_rows_of_the_gradient_in_16(case, tile):
    result, rescale = Case(*case, HALF), torch.tensor([3.0], device=DEVICE)
    (quantized, scale), lora_a_out, *grads = triton_swiglu.swiglu_backward_quantized(*result.inputs, rescale, tile)
    result.check_grads(lora_a_out, *grads)
    check_quantized(
        quantized, scale, triton_elementwise.swiglu_backward(result.dact, result.gate_up)[0], lora_a_out, rescale
    )


def check_quantized(quantized, scale, rows, lora_a_out, rescale):
    expected, expected_scale = quantize_rows_reference(rows, lora_a_out, rescale)
    torch.testing.assert_close(scale, expected_scale, rtol=1e-6, atol=0)
    wrong = quantized.float() != expected.float()
    assert wrong.float().mean() < OFTEN
    assert (quantized.float() - expected.float()).norm() < 0.1 * expected.float().norm()


@pytest.mark.parametrize(("span", "tile_left"), [(16, False), (48, True)])
@pytest.mark.parametrize("dtype", [torch.float32, HALF])
@pytest.mark.parametrize(("tokens", "width", "ranks"), [(21, 40, 8), (5, 64, 16), (16, 48, 24)])
def test_the_forward_pass_is_that_of_separate_kernels(tokens, width, ranks, dtype, span, tile_left):
    gate_up, lora_a = random_tensor(tokens, 2 * width, dtype=dtype), random_tensor(ranks, width, dtype=dtype)
    act, lora_a_out = triton_swiglu.swiglu_augmented(gate_up, lora_a, TILE._replace(span=span, tile_left=tile_left))
    assert torch.equal(act[:, :width], triton_elementwise.swiglu(gate_up))
    assert torch.equal(act[:, width:], lora_a_out)
    assert off(lora_a_out, act[:, :width].float() @ lora_a.float().T) < NEAR[dtype]


@needs_codes
def test_the_forward_pass_in_8_bits_gives_the_fp8_rows_of_the_activation():
    gate_up, lora_a, rescale = (
        random_tensor(18, 80, dtype=HALF),
        random_tensor(8, 40, dtype=HALF),
        torch.tensor([3.0], device=DEVICE),
    )
    (quantized, scale), lora_a_out = triton_swiglu.swiglu_quantized(gate_up, lora_a, rescale, TILE)
    act = triton_elementwise.swiglu(gate_up)
    assert off(lora_a_out, act.float() @ lora_a.float().T) < NEAR[HALF]
    check_quantized(quantized, scale, act, lora_a_out, rescale)


@needs_codes
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("source", ["gate_up", "grad", "lora_b"])
def test_nan_or_inf_stays_so_in_its_row_and_nowhere_else(bad, source):
    result, rescale = Case(6, 32, 16, 16, 16, HALF), torch.ones(1, device=DEVICE)
    if source == "lora_b":
        result.lora_b[3, 2] = bad
    else:
        {"gate_up": result.gate_up, "grad": result.dact}[source][4, 9] = bad
    (quantized, scale), lora_a_out, *_ = triton_swiglu.swiglu_backward_quantized(*result.inputs, rescale, TILE)
    numbers, good = quantized.float() * scale, [0, 1, 2, 3, 5]
    assert not torch.isfinite(numbers[4]).any()
    if source != "lora_b":
        assert torch.isfinite(numbers[good]).all()
        assert torch.isfinite(lora_a_out[good]).all()
    if source == "gate_up":
        (quantized, scale), _ = triton_swiglu.swiglu_quantized(
            result.gate_up, random_tensor(8, 32, dtype=HALF), rescale, TILE
        )
        numbers = quantized.float() * scale
        assert torch.isfinite(numbers[good]).all()
        assert not torch.isfinite(numbers[4]).any()


def test_equal_runs_give_equal_numbers():
    result = Case(20, 40, 4, 6, 8)
    first, second = (triton_swiglu.swiglu_backward_augmented(*result.inputs, TILE) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(left, right) for left, right in zip(first[2], second[2], strict=True))
    assert torch.equal(first[3], second[3])


def products(kind: str, gate: int, up: int, down: int, dtype, rate: float = 0.0) -> tuple:
    """Gate and up, [2 x 32, 24], and down, [24, 32], with adapters of these ranks, whose inputs are dropped."""
    seed = DropoutSeed(torch.tensor([1 << 40 | 5], device=DEVICE))
    sides = adapters_of(32, gate, up)
    down_adapters = ()
    if down:
        lora_a, lora_b = random_tensor(down, 32) / 5, random_tensor(24, down) / 5
        down_adapters = (Adapter(lora_a, lora_b, 0.5, slice(0, 24), slice(0, down)),)
    outputs = []
    for number, (height, width, adapters) in enumerate(((64, 24, sides), (24, 32, down_adapters))):
        weight, ranks = random_tensor(height, width, dtype=dtype) / 5, padded_ranks(adapters)
        if kind == "dense":
            rows_with_extra = torch.zeros(height + ranks, width + ranks, dtype=dtype, device=DEVICE)
            rows_with_extra[:height, :width] = weight
            outputs.append(DenseLinear(rows_with_extra, height, None, adapters, LoraDropout(rate, number, seed)))
        else:
            quantized, scale = quantize_rows_reference(weight)
            back, back_scale = quantize_rows_reference(weight.T)
            outputs.append(Fp8FusedLinear(quantized, scale[:, 0], back, back_scale[:, 0], None, adapters, dtype))
    return tuple(outputs)


def through(gate_up, down, kernels):
    """Forward and backward through the products around SwiGLU."""
    y_gate_up, lora_a_out = gate_up.forward(with_columns(random_tensor(9, 24), gate_up.extra_columns))
    y, lora_a_out_down = down.forward_of_swiglu(kernels, y_gate_up)
    grads = down.backward(with_columns(random_tensor(9, 24, seed=5), down.extra_columns), lora_a_out_down)
    swiglu = gate_up.swiglu_backward(kernels, grads.x, y_gate_up, lora_a_out, grads.lora_a_out, down)
    results = [y, gate_up.grad_input(swiglu.rows), *down.parameter_grads(swiglu.down_lora_a, grads.lora_b)]
    lora_a = None if swiglu.lora_a_out is None else swiglu.lora_a_out.T @ random_tensor(9, 24)
    return results + gate_up.parameter_grads(lora_a, swiglu.lora_b)


def with_columns(x, extra_columns: int):
    return torch.cat([x, x.new_full((len(x), extra_columns), torch.nan)], 1)


@pytest.mark.skipif(DEVICE == "cuda", reason="products of a GPU in 8 bits give 16")
@pytest.mark.parametrize(("kind", "tolerance"), [("dense", 1e-5), ("fp8", 0.1)])
@pytest.mark.parametrize("ranks", [(4, 6, 8), (0, 16, 0), (0, 0, 4), (33, 8, 33)])
def test_products_go_either_way_to_the_same_gradients(kind, tolerance, ranks, monkeypatch):
    fused = through(*products(kind, *ranks, torch.float32), triton_elementwise)
    for part in swiglu_backend.ENABLED:
        monkeypatch.setitem(swiglu_backend.ENABLED, part, False)
    separate = through(*products(kind, *ranks, torch.float32), triton_elementwise)
    assert len(fused) == len(separate)
    assert all(off(result, other) < tolerance for result, other in zip(fused, separate, strict=True))


@pytest.mark.skipif(DEVICE == "cuda", reason="products of a GPU in float32 may run in TF32")
@pytest.mark.parametrize("ranks", [(4, 6, 8), (0, 16, 0), (5, 0, 4)])
def test_dropped_inputs_go_either_way_to_the_same_gradients(ranks, monkeypatch):
    fused = through(*products("dense", *ranks, torch.float32, rate=0.3), triton_elementwise)
    without = through(*products("dense", *ranks, torch.float32), triton_elementwise)
    for part in swiglu_backend.ENABLED:
        monkeypatch.setitem(swiglu_backend.ENABLED, part, False)
    separate = through(*products("dense", *ranks, torch.float32, rate=0.3), triton_elementwise)
    assert all(off(result, other) < 1e-5 for result, other in zip(fused, separate, strict=True))
    assert any(off(result, other) > 0.01 for result, other in zip(fused, without, strict=True))


@pytest.mark.parametrize("case", CASES[:2])
def test_dropped_values_in_16_bits_are_those_of_the_mask(case):
    result, dropout = Case(*case, HALF), LoraDropout(0.3, 7, DropoutSeed(torch.tensor([99], device=DEVICE)))
    *_, down_lora_a = triton_swiglu.swiglu_backward_augmented(*result.inputs, TILE, dropout=dropout)
    act = triton_elementwise.swiglu(result.gate_up)
    expected = dropped_sum(result.grad_lora_a_out.float(), act.float(), dropout)
    assert off(down_lora_a, expected) < 1e-5
    lora_a = random_tensor(8, result.width, dtype=HALF)
    rows, lora_a_out = triton_swiglu.swiglu_augmented(result.gate_up, lora_a, TILE, dropout=dropout)
    assert torch.equal(rows[:, : result.width], act)
    assert off(lora_a_out, dropped_product(act.float(), lora_a.float(), dropout)) < NEAR[HALF]
