"""Rows in 8 bits, and products with them; Triton's kernel on a GPU, or with TRITON_INTERPRET=1 anywhere."""

import importlib.util
import os

import pytest
import torch

from texlens.kernels.fp8 import format as fp8
from texlens.kernels.lora_linear.products import Adapter, Coded, Stored

can_triton = importlib.util.find_spec("triton") and (
    os.environ.get("TRITON_INTERPRET") == "1"
    or (torch.cuda.is_available() and not fp8.fp8_unsupported_reason(torch.device("cuda")))
)
with_triton = pytest.mark.skipif(not can_triton, reason="no Triton, or no GPU and no interpreter")
DEVICE = "cuda" if torch.cuda.is_available() and can_triton else "cpu"


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape))).to(DEVICE)


def test_a_rows_largest_number_keeps_its_value_and_others_err_by_a_sixteenth():
    x = drawn(7, 40) * torch.logspace(-6, 3, 7, device=DEVICE)[:, None]
    codes, scale = fp8.quantize_rows_reference(x)
    back = codes.float() * scale
    torch.testing.assert_close(back.abs().amax(1), x.abs().amax(1), rtol=1e-6, atol=0)
    assert ((back - x).abs() <= x.abs() / 16 + scale * 2**-10).all()


def test_a_row_of_zeros_stays_zero():
    codes, scale = fp8.quantize_rows_reference(torch.zeros(2, 16))
    assert (codes.float() * scale == 0).all()


@with_triton
@pytest.mark.parametrize("width", [40, 5000])
@pytest.mark.parametrize("ranks", [0, 8, 24])
def test_the_kernel_gives_what_the_plain_form_gives(width, ranks):
    x, beside = drawn(5, width + 16)[:, :width], drawn(5, ranks) * 30 if ranks else None
    gain = torch.tensor([3.0], device=DEVICE)
    found, scale = fp8_kernel().quantize_rows(x, beside, gain)
    expected, expected_scale = fp8.quantize_rows_reference(x, beside, gain)
    torch.testing.assert_close(scale, expected_scale, rtol=1e-6, atol=0)
    off = (found.float() - expected.float()).abs()
    # A quotient on the border between two codes may fall to either side; Triton's interpreter rounds some wrongly.
    assert (off > 0).float().mean() < (0.01 if DEVICE == "cuda" else 0.05)
    assert off.norm() < (0.02 if DEVICE == "cuda" else 0.1) * expected.float().norm()


@pytest.mark.parametrize("form", ["plain", pytest.param("triton", marks=with_triton)])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_coded_as_one(form, bad):
    x = torch.ones(2, 24, device=DEVICE)
    x[1, 7] = bad
    quantize = fp8_kernel().quantize_rows if form == "triton" else fp8.quantize_rows_reference
    codes, scale = quantize(x)
    numbers = codes.float() * scale
    assert (numbers[0] == 1).all()
    assert not torch.isfinite(numbers[1]).all()


def fp8_kernel():
    return importlib.import_module("texlens.kernels.fp8.triton")


def product(kind: str, dtype=torch.float32):
    weight, generator = drawn(48, 32, seed=1) / 6, torch.Generator().manual_seed(5)
    draw = lambda *shape: (torch.randn(*shape, generator=generator) / 4).to(DEVICE).requires_grad_()  # noqa: E731
    adapters = (
        Adapter(draw(4, 32), draw(32, 4), 2.0, slice(0, 32), slice(0, 4)),
        Adapter(draw(6, 32), draw(16, 6), 0.5, slice(32, 48), slice(4, 10)),
    )
    if kind == "stored":
        whole = torch.zeros(48 + 16, 32 + 16, dtype=dtype, device=DEVICE)
        whole[:48, :32] = weight
        return Stored(whole, 48, None, adapters)
    codes, scale = fp8.quantize_rows_reference(weight)
    back, back_scale = fp8.quantize_rows_reference(weight.T)
    return Coded(codes, scale[:, 0], back, back_scale[:, 0], None, adapters, dtype)


def dense(adapters) -> torch.Tensor:
    weight = drawn(48, 32, seed=1) / 6
    for adapter in adapters:
        weight[adapter.rows] += adapter.scale * (adapter.up @ adapter.down).detach()
    return weight


@pytest.mark.parametrize(("kind", "near"), [("stored", 1e-6), ("coded", 0.05)])
def test_products_with_adapters_equal_those_of_the_merged_weight(kind, near):
    if DEVICE == "cuda" and kind == "coded":
        pytest.skip("a GPU's 8-bit products give 16 bits")
    one = product(kind)
    x, slope = drawn(9, 32, seed=3), drawn(9, 48, seed=4)
    room = lambda rows, width: torch.cat([rows, rows.new_full((9, one.border), torch.nan)], 1)  # noqa: E731
    y, thin = one.forward(room(x, 32))
    weight = dense(one.adapters)
    assert (y - x @ weight.T).norm() <= near * (x @ weight.T).norm()
    found = one.backward(room(slope, 48), thin)
    assert (found.x - slope @ weight).norm() <= near * (slope @ weight).norm()
    merged = weight.clone().requires_grad_()
    down, up = one.adapters[1].down, one.adapters[1].up
    loss = (x @ (merged[32:48].detach() + 0.5 * up @ down).T * slope[:, 32:]).sum()
    expected = torch.autograd.grad(loss, [down, up])
    grads = one.slopes(found.thin.T @ x, found.up)
    for grad, right in zip(grads[2:], expected, strict=True):
        torch.testing.assert_close(grad, right, rtol=1e-4, atol=1e-4)


def test_what_adapters_add_in_8_bits_errs_by_a_hundredth_at_most_and_follows_them():
    if DEVICE == "cuda":
        pytest.skip("a GPU's 8-bit products give 16 bits")
    one, x = product("coded"), drawn(9, 32, seed=3)
    with torch.no_grad():
        for adapter in one.adapters:
            adapter.up.zero_()
            adapter.down.div_(10)
        before, _ = one.forward(x)
        for adapter in one.adapters:
            adapter.up.copy_(drawn(*adapter.up.shape, seed=7) / 300)
        after, _ = one.forward(x)
        exact = x @ (dense(one.adapters) - drawn(48, 32, seed=1) / 6).T
    assert (after - before - exact).norm() < exact.norm() / 100


@with_triton
def test_numbers_beside_and_what_rounding_left_are_coded_to_nearest_even():
    numbers = torch.cat([drawn(4096) * scale for scale in (1e-4, 3e-3, 0.02, 1.0, 100.0)]).clamp(-448, 448)
    halves = torch.arange(64, device=DEVICE) / 1024  # half way between codes, and codes
    numbers = torch.cat([numbers, halves, -halves]).view(-1, 16)
    beside = torch.cat([numbers, torch.full_like(numbers, 448.0)], 1)  # rows of scale 1
    own = importlib.import_module("texlens.kernels.fp8.triton")
    codes, scale = own.quantize_rows(torch.zeros(len(beside), 16, device=DEVICE), beside, torch.ones(1, device=DEVICE))
    assert torch.equal(scale, torch.ones_like(scale))
    rounded, again, rest = (codes[:, 16 + 32 * n : 32 + 32 * n] for n in range(3))
    assert torch.equal(rounded.float(), numbers.to(fp8.CODE).float())
    assert torch.equal(again.float(), rounded.float())
    assert torch.equal(rest.float(), (numbers - rounded.float()).to(fp8.CODE).float())
