"""Rows in float8 and products with them; Triton on a GPU, or with TRITON_INTERPRET=1 anywhere."""

import importlib.util
import os

import pytest
import torch

from texlens.kernels.adapter import Adapter
from texlens.kernels.fp8 import format as fp8
from texlens.kernels.fp8.reference import quantize_rows_reference
from texlens.kernels.lora_linear.augmented import DenseLinear
from texlens.kernels.lora_linear.fp8_linear import Fp8FusedLinear

can_triton = importlib.util.find_spec("triton") and (
    os.environ.get("TRITON_INTERPRET") == "1"
    or (torch.cuda.is_available() and not fp8.fp8_unsupported_reason(torch.device("cuda")))
)
with_triton = pytest.mark.skipif(not can_triton, reason="no Triton, or no GPU and no interpreter")
DEVICE = "cuda" if torch.cuda.is_available() and can_triton else "cpu"


def random_tensor(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape))).to(DEVICE)


def test_largest_value_of_a_row_is_exact_and_others_err_by_a_sixteenth():
    x = random_tensor(7, 40) * torch.logspace(-6, 3, 7, device=DEVICE)[:, None]
    quantized, scale = quantize_rows_reference(x)
    back = quantized.float() * scale
    torch.testing.assert_close(back.abs().amax(1), x.abs().amax(1), rtol=1e-6, atol=0)
    assert ((back - x).abs() <= x.abs() / 16 + scale * 2**-10).all()


def test_a_row_of_zeros_stays_zero():
    quantized, scale = quantize_rows_reference(torch.zeros(2, 16))
    assert (quantized.float() * scale == 0).all()


@with_triton
@pytest.mark.parametrize("width", [40, 5000])
@pytest.mark.parametrize("ranks", [0, 8, 24])
def test_kernel_equals_the_reference(width, ranks):
    x, lora_a_out = random_tensor(5, width + 16)[:, :width], random_tensor(5, ranks) * 30 if ranks else None
    rescale = torch.tensor([3.0], device=DEVICE)
    results, scale = fp8_kernel().quantize_rows(x, lora_a_out, rescale)
    expected, expected_scale = quantize_rows_reference(x, lora_a_out, rescale)
    torch.testing.assert_close(scale, expected_scale, rtol=1e-6, atol=0)
    off = (results.float() - expected.float()).abs()
    # A quotient half way between two values may fall to either side; Triton's interpreter rounds some wrongly.
    assert (off > 0).float().mean() < (0.01 if DEVICE == "cuda" else 0.05)
    assert off.norm() < (0.02 if DEVICE == "cuda" else 0.1) * expected.float().norm()


@pytest.mark.parametrize("form", ["reference", pytest.param("triton", marks=with_triton)])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_or_inf_stays_not_finite(form, bad):
    x = torch.ones(2, 24, device=DEVICE)
    x[1, 7] = bad
    quantize = fp8_kernel().quantize_rows if form == "triton" else quantize_rows_reference
    quantized, scale = quantize(x)
    numbers = quantized.float() * scale
    assert (numbers[0] == 1).all()
    assert not torch.isfinite(numbers[1]).all()


def fp8_kernel():
    return importlib.import_module("texlens.kernels.fp8.triton")


def product(kind: str, dtype=torch.float32):
    weight, generator = random_tensor(48, 32, seed=1) / 6, torch.Generator().manual_seed(5)
    draw = lambda *shape: (torch.randn(*shape, generator=generator) / 4).to(DEVICE).requires_grad_()  # noqa: E731
    adapters = (
        Adapter(draw(4, 32), draw(32, 4), 2.0, slice(0, 32), slice(0, 4)),
        Adapter(draw(6, 32), draw(16, 6), 0.5, slice(32, 48), slice(4, 10)),
    )
    if kind == "dense":
        rows_with_extra = torch.zeros(48 + 16, 32 + 16, dtype=dtype, device=DEVICE)
        rows_with_extra[:48, :32] = weight
        return DenseLinear(rows_with_extra, 48, None, adapters)
    quantized, scale = quantize_rows_reference(weight)
    back, back_scale = quantize_rows_reference(weight.T)
    return Fp8FusedLinear(quantized, scale[:, 0], back, back_scale[:, 0], None, adapters, dtype)


def dense(adapters) -> torch.Tensor:
    weight = random_tensor(48, 32, seed=1) / 6
    for adapter in adapters:
        weight[adapter.rows] += adapter.scaling * (adapter.lora_b @ adapter.lora_a).detach()
    return weight


@pytest.mark.parametrize(("kind", "tolerance"), [("dense", 1e-6), ("fp8", 0.05)])
def test_products_with_adapters_equal_those_of_the_merged_weight(kind, tolerance):
    if DEVICE == "cuda" and kind == "fp8":
        pytest.skip("a GPU's 8-bit products give 16 bits")
    result = product(kind)
    x, grad = random_tensor(9, 32, seed=3), random_tensor(9, 48, seed=4)
    padding = lambda rows, width: torch.cat([rows, rows.new_full((9, result.extra_columns), torch.nan)], 1)  # noqa: E731
    y, lora_a_out = result.forward(padding(x, 32))
    weight = dense(result.adapters)
    assert (y - x @ weight.T).norm() <= tolerance * (x @ weight.T).norm()
    results = result.backward(padding(grad, 48), lora_a_out)
    assert (results.x - grad @ weight).norm() <= tolerance * (grad @ weight).norm()
    merged = weight.clone().requires_grad_()
    lora_a, lora_b = result.adapters[1].lora_a, result.adapters[1].lora_b
    loss = (x @ (merged[32:48].detach() + 0.5 * lora_b @ lora_a).T * grad[:, 32:]).sum()
    expected = torch.autograd.grad(loss, [lora_a, lora_b])
    grads = result.parameter_grads(results.lora_a_out.T @ x, results.lora_b)
    for grad, lora_b in zip(grads[2:], expected, strict=True):
        torch.testing.assert_close(grad, lora_b, rtol=1e-4, atol=1e-4)


def test_update_of_adapters_errs_by_a_hundredth_at_most():
    if DEVICE == "cuda":
        pytest.skip("a GPU's 8-bit products give 16 bits")
    result, x = product("fp8"), random_tensor(9, 32, seed=3)
    with torch.no_grad():
        for adapter in result.adapters:
            adapter.lora_b.zero_()
            adapter.lora_a.div_(10)
        before, _ = result.forward(x)
        for adapter in result.adapters:
            adapter.lora_b.copy_(random_tensor(*adapter.lora_b.shape, seed=7) / 300)
        after, _ = result.forward(x)
        scaled = x @ (dense(result.adapters) - random_tensor(48, 32, seed=1) / 6).T
    assert (after - before - scaled).norm() < scaled.norm() / 100


@with_triton
def test_appended_columns_and_their_residuals_round_to_nearest_even():
    numbers = torch.cat([random_tensor(4096) * scale for scale in (1e-4, 3e-3, 0.02, 1.0, 100.0)]).clamp(-448, 448)
    halves = torch.arange(64, device=DEVICE) / 1024  # half way between float8 values, and float8 values
    numbers = torch.cat([numbers, halves, -halves]).view(-1, 16)
    lora_a_out = torch.cat([numbers, torch.full_like(numbers, 448.0)], 1)  # rows of scale 1
    triton = importlib.import_module("texlens.kernels.fp8.triton")
    quantized, scale = triton.quantize_rows(
        torch.zeros(len(lora_a_out), 16, device=DEVICE), lora_a_out, torch.ones(1, device=DEVICE)
    )
    assert torch.equal(scale, torch.ones_like(scale))
    high, repeated, low = (quantized[:, 16 + 32 * n : 32 + 32 * n] for n in range(3))
    assert torch.equal(high.float(), numbers.to(fp8.FP8_DTYPE).float())
    assert torch.equal(repeated.float(), high.float())
    assert torch.equal(low.float(), (numbers - high.float()).to(fp8.FP8_DTYPE).float())
