"""The adapters' thin products by our own kernels against plain PyTorch, on a GPU or in Triton's interpreter."""

import importlib.util
import os

import pytest
import torch

from texlens.kernels.decoder_layer import reference as fused
from texlens.kernels.fp8 import format as fp8
from texlens.kernels.lora_linear import dispatch as thin
from texlens.kernels.lora_linear import products
from texlens.kernels.lora_linear.products import Adapter, Coded, Stored

interpreted = os.environ.get("TRITON_INTERPRET") == "1"
pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("triton") or not (torch.cuda.is_available() or interpreted),
    reason="no Triton, or no GPU and no interpreter",
)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
HALF = torch.bfloat16 if torch.cuda.is_available() else torch.float16  # the interpreter has no products in bfloat16
CLOSE = {torch.float32: {"atol": 1e-4, "rtol": 1e-4}, HALF: {"atol": 3e-2, "rtol": 3e-2}}
TOKENS, WIDTH, HEIGHT, RANKS = 150, 72, 300, 16
both = pytest.mark.parametrize("dtype", [torch.float32, HALF])


@pytest.fixture
def own():
    return importlib.import_module("texlens.kernels.lora_linear.triton_lora_a")


@pytest.fixture
def coding():
    return importlib.import_module("texlens.kernels.fp8.triton")


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(*shape, generator=generator).to(DEVICE, dtype)


def adapters(starts=(0, 240)) -> tuple[Adapter, ...]:
    """Two of three layers adapted, of ranks 4 and 6 in a border of 16."""
    first = Adapter(drawn(4, WIDTH), drawn(200, 4), 2.0, slice(starts[0], starts[0] + 200), slice(0, 4))
    other = Adapter(drawn(6, WIDTH), drawn(60, 6), 0.5, slice(starts[1], starts[1] + 60), slice(4, 10))
    return first, other


def placed(dtype: torch.dtype, parts=None) -> tuple[torch.Tensor, torch.Tensor]:
    """All of `up` and of `down` as plain PyTorch places them, in wider tensors."""
    right = drawn(HEIGHT, RANKS + 8, dtype=dtype).zero_()[:, :RANKS]
    below = drawn(RANKS, WIDTH + 8, dtype=dtype).zero_()[:, :WIDTH]
    for adapter in parts or adapters():
        right[adapter.rows, adapter.columns] = (adapter.up * adapter.scale).to(dtype)
        below[adapter.columns] = adapter.down.to(dtype)
    return right, below


@both
@pytest.mark.parametrize("starts", [(0, 240), (3, 205)])
def test_one_reading_of_the_slope_gives_both_thin_slopes(own, dtype, starts):
    parts = adapters(starts)
    up, _ = placed(dtype, parts)
    whole, beside = drawn(TOKENS, HEIGHT + RANKS, dtype=dtype), drawn(TOKENS, RANKS, dtype=dtype)
    slope = whole[:, :HEIGHT]
    dthin, dups = own.pair(slope, up, beside, parts, whole[:, HEIGHT:], own.Cut(16, 64, 4, 2, programs=24))
    torch.testing.assert_close(dthin, slope @ up, **CLOSE[dtype])
    assert torch.equal(whole[:, HEIGHT:], dthin)
    assert (dthin[:, 10:] == 0).all()
    full = slope.float().T @ beside.float()
    for adapter, dup in zip(parts, dups, strict=True):
        torch.testing.assert_close(dup, full[adapter.rows, adapter.columns] * adapter.scale, atol=1e-3, rtol=1e-4)


def test_a_slope_without_a_border_and_of_a_single_row(own):
    up, _ = placed(torch.float32)
    slope, beside = drawn(1, HEIGHT), drawn(1, RANKS)
    dthin, dups = own.pair(slope, up, beside, adapters())
    torch.testing.assert_close(dthin, slope @ up, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(dups[1], torch.outer(slope[0, 240:], beside[0, 4:10]) * 0.5, atol=1e-4, rtol=1e-4)


def test_what_is_no_number_reaches_both_thin_slopes(own):
    up, _ = placed(torch.float32)
    slope, beside = drawn(TOKENS, HEIGHT), drawn(TOKENS, RANKS)
    slope[7, 250] = float("nan")
    dthin, dups = own.pair(slope, up, beside, adapters())
    assert dthin[7, 4:10].isnan().all()
    assert dthin[8].isfinite().all()
    assert dups[1][10].isnan().all()
    assert dups[0].isfinite().all()


def coded(fill: float = 0.0):
    up, down = placed(torch.float32)
    scales = drawn(HEIGHT).abs() + 0.01, drawn(WIDTH).abs() + 0.01
    up[5, 3] += fill
    room = fp8.padded_columns(RANKS)
    beside = [torch.zeros(n, room + 16, dtype=torch.uint8, device=DEVICE).view(fp8.CODE) for n in (HEIGHT, WIDTH)]
    return up, scales[0], beside[0][:, 16:], down, scales[1], beside[1][:, 16:]


@pytest.mark.parametrize("fill", [0.0, 1e6])
def test_codes_beside_a_weight_hold_the_adapters_and_what_rounding_left(coding, fill):
    up, up_scale, up_codes, down, down_scale, down_codes = coded(fill)
    gains = coding.quantize_adapters(up, up_scale, up_codes, down, down_scale, down_codes)
    exact = up / up_scale[:, None], down.T / down_scale[:, None]
    for values, codes, gain in zip(exact, (up_codes, down_codes), gains, strict=True):
        torch.testing.assert_close(gain, (values.abs().amax() / 448).clamp(min=1)[None])
        rounded, rest, again = (codes[:, RANKS * n : RANKS * (n + 1)].float() for n in range(3))
        assert torch.equal(rounded, again)
        torch.testing.assert_close(rounded, (values / gain).to(fp8.CODE).float(), atol=2**-9, rtol=0.07)
        torch.testing.assert_close(rounded + rest, values / gain, atol=2**-9, rtol=0.006)


def test_a_matrix_with_what_is_no_number_has_no_gain(coding):
    gain, other = coding.quantize_adapters(*coded(float("nan")))
    assert gain.isnan().all()
    assert other.isfinite().all()


@pytest.mark.parametrize("adds", [True, False])
def test_the_norm_is_coded_at_once_with_its_thin_product_beside(own, adds):
    x, weight, y, gain = drawn(37, WIDTH), drawn(WIDTH), drawn(37, WIDTH, seed=1), torch.tensor([2.0], device=DEVICE)
    _, down = placed(torch.float32)
    total = x + y
    normed = fused.rms_norm(total if adds else x, weight, 1e-6)
    (codes, scale), beside = own.norm_quantize(x, weight, 1e-6, down, gain, y if adds else None, own.Cut(16, 32, 4, 2))
    if adds:
        assert torch.equal(y, total)
    torch.testing.assert_close(beside, normed @ down.T, atol=1e-4, rtol=1e-4)
    expected, expected_scale = fp8.quantize_rows_reference(normed, beside, gain)
    assert codes.shape == expected.shape
    torch.testing.assert_close(scale, expected_scale, rtol=1e-5, atol=0)
    assert (codes.float() != expected.float()).float().mean() < (0.01 if DEVICE == "cuda" else 0.05)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_row_that_is_no_number_is_not_coded_as_one(own, bad):
    x, gain = torch.ones(2, WIDTH, device=DEVICE), torch.ones(1, device=DEVICE)
    x[1, 7] = bad
    down = placed(torch.float32)[1] * 1e-3
    (codes, scale), beside = own.norm_quantize(x, torch.ones(WIDTH, device=DEVICE), 1e-6, down, gain)
    numbers = codes.float() * scale
    torch.testing.assert_close(numbers[0, :WIDTH], torch.ones(WIDTH, device=DEVICE), atol=1e-3, rtol=0.07)
    assert numbers[1, :WIDTH].isnan().any()
    assert beside[1].isnan().any()


@pytest.mark.parametrize("adds", [True, False])
def test_the_slope_behind_a_norm_needs_no_normalized_rows(own, adds):
    x, weight, slope, dthin = drawn(37, WIDTH), drawn(WIDTH), drawn(37, WIDTH, seed=1), drawn(37, 10)
    added = drawn(37, WIDTH + 8)[:, :WIDTH] if adds else None
    dx, beside = own.rms_norm_backward(slope, x, weight, 1e-6, added, dthin, 8)
    expected = fused.rms_norm_backward(slope, x, weight, 1e-6) + (0 if added is None else added)
    torch.testing.assert_close(dx[:, :WIDTH], expected, atol=1e-5, rtol=1e-5)
    ddown = beside.T @ x * weight
    torch.testing.assert_close(ddown, dthin.T @ fused.rms_norm(x, weight, 1e-6), atol=1e-4, rtol=1e-4)


def test_a_product_gives_the_same_with_each_kernel_and_without(monkeypatch):
    monkeypatch.setattr(products, "WIDE", HEIGHT)
    parts = adapters()
    slope, beside = drawn(TOKENS, HEIGHT), drawn(TOKENS, RANKS)
    found = []
    for runs in (True, False):
        monkeypatch.setattr(thin, "OWN", dict.fromkeys(thin.OWN, runs))
        bordered = drawn(HEIGHT + RANKS, WIDTH + RANKS)
        bordered[:HEIGHT, WIDTH:] = bordered[HEIGHT:] = 0
        product = Stored(bordered, HEIGHT, None, parts)
        whole = torch.cat([slope, torch.zeros_like(beside)], 1)
        slopes = product.backward(whole, beside)
        assert isinstance(slopes.up, torch.Tensor) != runs
        assert slopes.thin is not None
        found.append([slopes.x, slopes.thin, *product.slopes(slopes.thin.T @ slope[:, :WIDTH], slopes.up)])
    torch.testing.assert_close(found[0], found[1], atol=1e-3, rtol=1e-4)


@pytest.mark.skipif(DEVICE == "cuda", reason="a GPU's products in 8 bits take 16-bit results and multiples of 16")
@pytest.mark.parametrize("adds", [True, False])
def test_a_coded_product_of_a_norm_is_the_same_with_the_kernel_and_without(monkeypatch, adds):
    passes = importlib.import_module("texlens.kernels.elementwise.triton")
    x, weight, found = drawn(20, WIDTH), drawn(WIDTH), []
    for runs in (True, False):
        monkeypatch.setattr(thin, "OWN", dict.fromkeys(thin.OWN, runs))
        y = drawn(20, WIDTH, seed=1)
        result, beside = coded_product().forward_of_norm(passes, x, weight, 1e-6, y if adds else None)
        found.append([result, beside, y])
    assert torch.equal(found[0][2], found[1][2])
    torch.testing.assert_close(found[0][1], found[1][1], atol=1e-3, rtol=1e-4)
    assert (found[0][0] - found[1][0]).norm() < 0.1 * found[1][0].norm()  # the interpreter rounds codes in its own way


def coded_product() -> Coded:
    weight = drawn(HEIGHT, WIDTH)
    codes, scale = fp8.quantize_rows_reference(weight)
    back, back_scale = fp8.quantize_rows_reference(weight.T)
    return Coded(codes, scale[:, 0], back, back_scale[:, 0], None, adapters(), torch.float32)


def test_what_has_64_bits_is_left_to_pytorch():
    assert thin.triton_lora("pair", torch.zeros(2, dtype=torch.float64, device=DEVICE)) is None
    assert thin.triton_lora("pair", torch.zeros(2, device=DEVICE)) is not None


def test_adapters_beside_codes_are_coded_once_until_they_change(coding, monkeypatch):
    run, calls = coding.quantize_adapters, []
    monkeypatch.setattr(coding, "quantize_adapters", lambda *sides: calls.append(sides) or run(*sides))
    product = coded_product()
    product.lora_b_grads(drawn(5, HEIGHT), drawn(5, RANKS))
    product.lora_b_grads(drawn(5, HEIGHT), drawn(5, RANKS))
    assert len(calls) == 1
    product.expire()
    product.lora_b_grads(drawn(5, HEIGHT), drawn(5, RANKS))
    assert len(calls) == 2
