"""SwiGLU made together with the adapters around it, against separate passes; on a GPU, or with TRITON_INTERPRET=1."""

import importlib.util
import os

import pytest
import torch

interpreted = os.environ.get("TRITON_INTERPRET") == "1"
if not importlib.util.find_spec("triton") or not (torch.cuda.is_available() or interpreted):
    pytest.skip("no Triton, or no GPU and no interpreter", allow_module_level=True)

from texlens.kernels.elementwise import triton as triton_passes  # noqa: E402
from texlens.kernels.fp8.format import quantize_rows_reference, fp8_unsupported_reason  # noqa: E402
from texlens.kernels.lora_linear.products import Adapter, Coded, Stored, sum_over_tokens, padded_ranks  # noqa: E402
from texlens.kernels.swiglu import dispatch as mlp  # noqa: E402
from texlens.kernels.swiglu import triton as triton_mlp  # noqa: E402
from texlens.kernels.swiglu.triton import Cut  # noqa: E402

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
HALF = torch.bfloat16 if DEVICE == "cuda" else torch.float16  # the interpreter's products of bfloat16 are wrong
NEAR = {torch.float32: 1e-5, HALF: 1e-2}
OFTEN = 0.01 if DEVICE == "cuda" else 0.05  # codes that fall to the other side; the interpreter rounds some wrongly
CUT, TALL = Cut(16, 16, 16, 4, 1), Cut(16, 32, 32, 4, 1, tall=True)
needs_codes = pytest.mark.skipif(
    DEVICE == "cuda" and bool(fp8_unsupported_reason(torch.device("cuda"))), reason="a card without 8-bit numbers"
)


def drawn(*shape: int, seed: int = 0, dtype=torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape))).to(DEVICE, dtype)


def adapters_of(width: int, gate: int, up: int, depth: int = 24) -> tuple[Adapter, ...]:
    found, column = [], 0
    for half, ranks in enumerate((gate, up)):
        if ranks:
            rows, columns = slice(half * width, (half + 1) * width), slice(column, column + ranks)
            made = drawn(ranks, depth, seed=half) / 5, drawn(width, ranks, seed=half) / 5
            found.append(Adapter(*(part.requires_grad_() for part in made), 2.0 - half, rows, columns))
            column += ranks
    return tuple(found)


class Case:
    """What goes into the way back, and what separate passes make of it, sums in float32."""

    def __init__(self, tokens: int, width: int, gate: int, up: int, down: int, dtype=torch.float32):
        self.adapters, self.width, self.dtype = adapters_of(width, gate, up), width, dtype
        ranks = padded_ranks(self.adapters)
        self.up = torch.zeros(2 * width, ranks, device=DEVICE)
        for one in self.adapters:
            self.up[one.rows, one.columns] = one.up.detach() * one.scale
        self.up = self.up.to(dtype)
        self.wide, self.dact = drawn(tokens, 2 * width, dtype=dtype), drawn(tokens, width, seed=1, dtype=dtype)
        self.thin = drawn(tokens, ranks, seed=2, dtype=dtype)
        self.dthin = drawn(tokens, down, seed=3, dtype=dtype) if down else None
        self.inputs = self.dact, self.wide, self.thin, self.dthin, self.up, self.adapters

    def check_slopes(self, thin, ups, down):
        dwide, act = triton_passes.swiglu_backward(self.dact, self.wide)
        near = NEAR[self.dtype]
        assert off(thin, dwide.float() @ self.up.float()) < near
        dup = dwide.float().T @ self.thin.float()
        assert len(ups) == len(self.adapters)
        for found, one in zip(ups, self.adapters, strict=True):
            assert off(found, dup[one.rows, one.columns] * one.scale) < 1e-5
        assert (down is None) == (self.dthin is None)
        if self.dthin is not None:
            assert off(down, sum_over_tokens(self.dthin.float(), act.float())) < 1e-5


def off(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.float() - expected).norm() / expected.norm())


CASES = [
    pytest.param((20, 40, 4, 6, 8), id="several runs, columns that fill no tile, ranks that fill no border"),
    pytest.param((5, 32, 16, 16, 16), id="fewer rows than a tile"),
    pytest.param((17, 48, 0, 20, 0), id="only up adapted"),
    pytest.param((17, 32, 5, 0, 24), id="only gate and down adapted"),
]


@pytest.mark.parametrize(
    ("cut", "dtype"), [(CUT, torch.float32), (TALL, HALF), (CUT._replace(shares=False), HALF), (CUT, HALF)]
)
@pytest.mark.parametrize("case", CASES)
def test_the_way_back_is_that_of_separate_passes(case, dtype, cut):
    one = Case(*case, dtype)
    rows, thin, *slopes = triton_mlp.swiglu_backward_augmented(*one.inputs, cut)
    assert torch.equal(rows[:, : 2 * one.width], triton_passes.swiglu_backward(one.dact, one.wide)[0])
    assert torch.equal(rows[:, 2 * one.width :], thin)
    one.check_slopes(thin, *slopes)


@needs_codes
@pytest.mark.parametrize(("case", "cut"), [(CASES[0].values[0], CUT), (CASES[3].values[0], TALL)])
def test_the_way_back_in_8_bits_gives_the_codes_of_the_slope_in_16(case, cut):
    one, gain = Case(*case, HALF), torch.tensor([3.0], device=DEVICE)
    (codes, scale), thin, *slopes = triton_mlp.swiglu_backward_quantized(*one.inputs, gain, cut)
    one.check_slopes(thin, *slopes)
    check_codes(codes, scale, triton_passes.swiglu_backward(one.dact, one.wide)[0], thin, gain)


def check_codes(codes, scale, rows, thin, gain):
    expected, expected_scale = quantize_rows_reference(rows, thin, gain)
    torch.testing.assert_close(scale, expected_scale, rtol=1e-6, atol=0)
    wrong = codes.float() != expected.float()
    assert wrong.float().mean() < OFTEN
    assert (codes.float() - expected.float()).norm() < 0.1 * expected.float().norm()


@pytest.mark.parametrize(("run", "tall"), [(16, False), (48, True)])
@pytest.mark.parametrize("dtype", [torch.float32, HALF])
@pytest.mark.parametrize(("tokens", "width", "ranks"), [(21, 40, 8), (5, 64, 16), (16, 48, 24)])
def test_the_way_forward_is_that_of_separate_passes(tokens, width, ranks, dtype, run, tall):
    wide, down = drawn(tokens, 2 * width, dtype=dtype), drawn(ranks, width, dtype=dtype)
    act, thin = triton_mlp.swiglu_augmented(wide, down, CUT._replace(run=run, tall=tall))
    assert torch.equal(act[:, :width], triton_passes.swiglu(wide))
    assert torch.equal(act[:, width:], thin)
    assert off(thin, act[:, :width].float() @ down.float().T) < NEAR[dtype]


@needs_codes
def test_the_way_forward_in_8_bits_gives_the_codes_of_the_activation():
    wide, down, gain = drawn(18, 80, dtype=HALF), drawn(8, 40, dtype=HALF), torch.tensor([3.0], device=DEVICE)
    (codes, scale), thin = triton_mlp.swiglu_quantized(wide, down, gain, CUT)
    act = triton_passes.swiglu(wide)
    assert off(thin, act.float() @ down.float().T) < NEAR[HALF]
    check_codes(codes, scale, act, thin, gain)


@needs_codes
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("place", ["wide", "slope", "thin"])
def test_what_is_no_number_stays_so_in_its_row_and_nowhere_else(bad, place):
    one, gain = Case(6, 32, 16, 16, 16, HALF), torch.ones(1, device=DEVICE)
    if place == "thin":
        one.up[3, 2] = bad
    else:
        {"wide": one.wide, "slope": one.dact}[place][4, 9] = bad
    (codes, scale), thin, *_ = triton_mlp.swiglu_backward_quantized(*one.inputs, gain, CUT)
    numbers, good = codes.float() * scale, [0, 1, 2, 3, 5]
    assert not torch.isfinite(numbers[4]).any()
    if place != "thin":
        assert torch.isfinite(numbers[good]).all()
        assert torch.isfinite(thin[good]).all()
    if place == "wide":
        (codes, scale), _ = triton_mlp.swiglu_quantized(one.wide, drawn(8, 32, dtype=HALF), gain, CUT)
        numbers = codes.float() * scale
        assert torch.isfinite(numbers[good]).all()
        assert not torch.isfinite(numbers[4]).any()


def test_equal_runs_give_equal_numbers():
    one = Case(20, 40, 4, 6, 8)
    first, second = (triton_mlp.swiglu_backward_augmented(*one.inputs, CUT) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(left, right) for left, right in zip(first[2], second[2], strict=True))
    assert torch.equal(first[3], second[3])


def products(kind: str, gate: int, up: int, down: int, dtype) -> tuple:
    """Gate and up, [2 x 32, 24], and down, [24, 32], with adapters of these ranks."""
    sides = adapters_of(32, gate, up)
    below = (Adapter(drawn(down, 32) / 5, drawn(24, down) / 5, 0.5, slice(0, 24), slice(0, down)),) if down else ()
    made = []
    for height, width, adapters in ((64, 24, sides), (24, 32, below)):
        weight, ranks = drawn(height, width, dtype=dtype) / 5, padded_ranks(adapters)
        if kind == "stored":
            whole = torch.zeros(height + ranks, width + ranks, dtype=dtype, device=DEVICE)
            whole[:height, :width] = weight
            made.append(Stored(whole, height, None, adapters))
        else:
            codes, scale = quantize_rows_reference(weight)
            back, back_scale = quantize_rows_reference(weight.T)
            made.append(Coded(codes, scale[:, 0], back, back_scale[:, 0], None, adapters, dtype))
    return tuple(made)


def through(gate_up, down, passes):
    """All that a layer takes from the products around SwiGLU, there and back."""
    wide, thin = gate_up.forward(bordered(drawn(9, 24), gate_up.border))
    y, thin_down = down.forward_of_swiglu(passes, wide)
    back = down.backward(bordered(drawn(9, 24, seed=5), down.border), thin_down)
    lean = gate_up.swiglu_grads_of(passes, back.x, wide, thin, back.thin)
    found = [y, gate_up.grad_input(lean.rows), *down.slopes(lean.down, back.up)]
    return found + gate_up.slopes(None if lean.thin is None else lean.thin.T @ drawn(9, 24), lean.up)


def bordered(x, border: int):
    return torch.cat([x, x.new_full((len(x), border), torch.nan)], 1)


@pytest.mark.skipif(DEVICE == "cuda", reason="products of a GPU in 8 bits give 16")
@pytest.mark.parametrize(("kind", "near"), [("stored", 1e-5), ("coded", 0.1)])
@pytest.mark.parametrize("ranks", [(4, 6, 8), (0, 16, 0), (0, 0, 4), (33, 8, 33)])
def test_products_go_either_way_to_the_same_slopes(kind, near, ranks, monkeypatch):
    fused = through(*products(kind, *ranks, torch.float32), triton_passes)
    for part in mlp.OWN:
        monkeypatch.setitem(mlp.OWN, part, False)
    separate = through(*products(kind, *ranks, torch.float32), triton_passes)
    assert len(fused) == len(separate)
    assert all(off(one, other) < near for one, other in zip(fused, separate, strict=True))
