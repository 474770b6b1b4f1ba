"""LoRA products by Triton compared with PyTorch, on a GPU or in Triton's interpreter."""

import importlib.util
import os

import pytest
import torch

from texlens.kernels.adapter import Adapter
from texlens.kernels.decoder_layer import reference as fused
from texlens.kernels.fp8 import format as fp8
from texlens.kernels.fp8.reference import quantize_rows_reference
from texlens.kernels.lora_linear import backend as lora_backend
from texlens.kernels.lora_linear import fused_linear
from texlens.kernels.lora_linear.augmented import DenseLinear
from texlens.kernels.lora_linear.fp8_linear import Fp8FusedLinear

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
def kernels():
    return importlib.import_module("texlens.kernels.lora_linear.triton")


@pytest.fixture
def fp8_kernels():
    return importlib.import_module("texlens.kernels.fp8.triton")


def random_tensor(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(*shape, generator=generator).to(DEVICE, dtype)


def adapters(starts=(0, 240)) -> tuple[Adapter, ...]:
    """Two of three layers adapted, of ranks 4 and 6 in 16 extra columns."""
    first = Adapter(random_tensor(4, WIDTH), random_tensor(200, 4), 2.0, slice(starts[0], starts[0] + 200), slice(0, 4))
    other = Adapter(random_tensor(6, WIDTH), random_tensor(60, 6), 0.5, slice(starts[1], starts[1] + 60), slice(4, 10))
    return first, other


def stacked_adapters(dtype: torch.dtype, parts=None) -> tuple[torch.Tensor, torch.Tensor]:
    """All LoRA B and all LoRA A as PyTorch places them, in wider tensors."""
    lora_b = random_tensor(HEIGHT, RANKS + 8, dtype=dtype).zero_()[:, :RANKS]
    lora_a = random_tensor(RANKS, WIDTH + 8, dtype=dtype).zero_()[:, :WIDTH]
    for adapter in parts or adapters():
        lora_b[adapter.rows, adapter.columns] = (adapter.lora_b * adapter.scaling).to(dtype)
        lora_a[adapter.columns] = adapter.lora_a.to(dtype)
    return lora_b, lora_a


@both
@pytest.mark.parametrize("starts", [(0, 240), (3, 205)])
def test_one_read_of_a_gradient_gives_both_lora_gradients(kernels, dtype, starts):
    parts = adapters(starts)
    lora_b, _ = stacked_adapters(dtype, parts)
    rows_with_extra, lora_a_out = (
        random_tensor(TOKENS, HEIGHT + RANKS, dtype=dtype),
        random_tensor(TOKENS, RANKS, dtype=dtype),
    )
    grad = rows_with_extra[:, :HEIGHT]
    grad_lora_a_out, lora_b_grads = kernels.lora_b_backward(
        grad, lora_b, lora_a_out, parts, rows_with_extra[:, HEIGHT:], kernels.LoraTile(16, 64, 4, 2, programs=24)
    )
    torch.testing.assert_close(grad_lora_a_out, grad @ lora_b, **CLOSE[dtype])
    assert torch.equal(rows_with_extra[:, HEIGHT:], grad_lora_a_out)
    assert (grad_lora_a_out[:, 10:] == 0).all()
    reference = grad.float().T @ lora_a_out.float()
    for adapter, lora_b_grad in zip(parts, lora_b_grads, strict=True):
        torch.testing.assert_close(
            lora_b_grad, reference[adapter.rows, adapter.columns] * adapter.scaling, atol=1e-3, rtol=1e-4
        )


def test_a_gradient_without_extra_columns_and_of_a_single_row(kernels):
    lora_b, _ = stacked_adapters(torch.float32)
    grad, lora_a_out = random_tensor(1, HEIGHT), random_tensor(1, RANKS)
    grad_lora_a_out, lora_b_grads = kernels.lora_b_backward(grad, lora_b, lora_a_out, adapters())
    torch.testing.assert_close(grad_lora_a_out, grad @ lora_b, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        lora_b_grads[1], torch.outer(grad[0, 240:], lora_a_out[0, 4:10]) * 0.5, atol=1e-4, rtol=1e-4
    )


def test_nan_or_inf_reaches_both_lora_a_output_gradients(kernels):
    lora_b, _ = stacked_adapters(torch.float32)
    grad, lora_a_out = random_tensor(TOKENS, HEIGHT), random_tensor(TOKENS, RANKS)
    grad[7, 250] = float("nan")
    grad_lora_a_out, lora_b_grads = kernels.lora_b_backward(grad, lora_b, lora_a_out, adapters())
    assert grad_lora_a_out[7, 4:10].isnan().all()
    assert grad_lora_a_out[8].isfinite().all()
    assert lora_b_grads[1][10].isnan().all()
    assert lora_b_grads[0].isfinite().all()


def fp8_inputs(fill: float = 0.0):
    lora_b, lora_a = stacked_adapters(torch.float32)
    scales = random_tensor(HEIGHT).abs() + 0.01, random_tensor(WIDTH).abs() + 0.01
    lora_b[5, 3] += fill
    padding = fp8.padded_columns(RANKS)
    lora_a_out = [
        torch.zeros(n, padding + 16, dtype=torch.uint8, device=DEVICE).view(fp8.FP8_DTYPE) for n in (HEIGHT, WIDTH)
    ]
    return lora_b, scales[0], lora_a_out[0][:, 16:], lora_a, scales[1], lora_a_out[1][:, 16:]


@pytest.mark.parametrize("fill", [0.0, 1e6])
def test_columns_appended_to_a_weight_hold_the_adapters_and_the_residual(fp8_kernels, fill):
    lora_b, lora_b_scale, lora_b_columns, lora_a, lora_a_scale, lora_a_columns = fp8_inputs(fill)
    rescales = fp8_kernels.quantize_adapters(lora_b, lora_b_scale, lora_b_columns, lora_a, lora_a_scale, lora_a_columns)
    scaled = lora_b / lora_b_scale[:, None], lora_a.T / lora_a_scale[:, None]
    for values, quantized, rescale in zip(scaled, (lora_b_columns, lora_a_columns), rescales, strict=True):
        torch.testing.assert_close(rescale, (values.abs().amax() / 448).clamp(min=1)[None])
        high, low, repeated = (quantized[:, RANKS * n : RANKS * (n + 1)].float() for n in range(3))
        assert torch.equal(high, repeated)
        torch.testing.assert_close(high, (values / rescale).to(fp8.FP8_DTYPE).float(), atol=2**-9, rtol=0.07)
        torch.testing.assert_close(high + low, values / rescale, atol=2**-9, rtol=0.006)


def test_matrix_with_nan_has_a_rescale_of_nan(fp8_kernels):
    rescale, other = fp8_kernels.quantize_adapters(*fp8_inputs(float("nan")))
    assert rescale.isnan().all()
    assert other.isfinite().all()


@pytest.mark.parametrize("adds", [True, False])
def test_norm_is_quantized_with_its_lora_a_output_appended(kernels, adds):
    x, weight, y, rescale = (
        random_tensor(37, WIDTH),
        random_tensor(WIDTH),
        random_tensor(37, WIDTH, seed=1),
        torch.tensor([2.0], device=DEVICE),
    )
    _, lora_a = stacked_adapters(torch.float32)
    total = x + y
    normed = fused.rms_norm(total if adds else x, weight, 1e-6)
    (quantized, scale), lora_a_out = kernels.norm_quantize(
        x, weight, 1e-6, lora_a, rescale, y if adds else None, kernels.LoraTile(16, 32, 4, 2)
    )
    if adds:
        assert torch.equal(y, total)
    torch.testing.assert_close(lora_a_out, normed @ lora_a.T, atol=1e-4, rtol=1e-4)
    expected, expected_scale = quantize_rows_reference(normed, lora_a_out, rescale)
    assert quantized.shape == expected.shape
    torch.testing.assert_close(scale, expected_scale, rtol=1e-5, atol=0)
    assert (quantized.float() != expected.float()).float().mean() < (0.01 if DEVICE == "cuda" else 0.05)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_or_inf_stays_not_finite(kernels, bad):
    x, rescale = torch.ones(2, WIDTH, device=DEVICE), torch.ones(1, device=DEVICE)
    x[1, 7] = bad
    lora_a = stacked_adapters(torch.float32)[1] * 1e-3
    (quantized, scale), lora_a_out = kernels.norm_quantize(x, torch.ones(WIDTH, device=DEVICE), 1e-6, lora_a, rescale)
    numbers = quantized.float() * scale
    torch.testing.assert_close(numbers[0, :WIDTH], torch.ones(WIDTH, device=DEVICE), atol=1e-3, rtol=0.07)
    assert numbers[1, :WIDTH].isnan().any()
    assert lora_a_out[1].isnan().any()


@pytest.mark.parametrize("adds", [True, False])
def test_lora_a_gradient_of_a_norm_needs_no_normalized_rows(kernels, adds):
    x, weight, grad, grad_lora_a_out = (
        random_tensor(37, WIDTH),
        random_tensor(WIDTH),
        random_tensor(37, WIDTH, seed=1),
        random_tensor(37, 10),
    )
    residual = random_tensor(37, WIDTH + 8)[:, :WIDTH] if adds else None
    dx, lora_a_out = kernels.rms_norm_backward(grad, x, weight, 1e-6, residual, grad_lora_a_out, 8)
    expected = fused.rms_norm_backward(grad, x, weight, 1e-6) + (0 if residual is None else residual)
    torch.testing.assert_close(dx[:, :WIDTH], expected, atol=1e-5, rtol=1e-5)
    lora_a_grad = lora_a_out.T @ x * weight
    torch.testing.assert_close(lora_a_grad, grad_lora_a_out.T @ fused.rms_norm(x, weight, 1e-6), atol=1e-4, rtol=1e-4)


def test_a_product_gives_the_same_with_each_kernel_and_without(monkeypatch):
    monkeypatch.setattr(fused_linear, "MIN_WIDTH", HEIGHT)
    parts = adapters()
    grad, lora_a_out = random_tensor(TOKENS, HEIGHT), random_tensor(TOKENS, RANKS)
    results = []
    for enabled in (True, False):
        monkeypatch.setattr(lora_backend, "ENABLED", dict.fromkeys(lora_backend.ENABLED, enabled))
        augmented = random_tensor(HEIGHT + RANKS, WIDTH + RANKS)
        augmented[:HEIGHT, WIDTH:] = augmented[HEIGHT:] = 0
        product = DenseLinear(augmented, HEIGHT, None, parts)
        rows_with_extra = torch.cat([grad, torch.zeros_like(lora_a_out)], 1)
        grads = product.backward(rows_with_extra, lora_a_out)
        assert isinstance(grads.lora_b, torch.Tensor) != enabled
        assert grads.lora_a_out is not None
        results.append(
            [grads.x, grads.lora_a_out, *product.parameter_grads(grads.lora_a_out.T @ grad[:, :WIDTH], grads.lora_b)]
        )
    torch.testing.assert_close(results[0], results[1], atol=1e-3, rtol=1e-4)


@pytest.mark.skipif(DEVICE == "cuda", reason="a GPU's products in 8 bits take 16-bit results and multiples of 16")
@pytest.mark.parametrize("adds", [True, False])
def test_a_quantized_product_of_a_norm_is_the_same_with_the_kernel_and_without(monkeypatch, adds):
    elementwise = importlib.import_module("texlens.kernels.elementwise.triton")
    x, weight, results = random_tensor(20, WIDTH), random_tensor(WIDTH), []
    for enabled in (True, False):
        monkeypatch.setattr(lora_backend, "ENABLED", dict.fromkeys(lora_backend.ENABLED, enabled))
        y = random_tensor(20, WIDTH, seed=1)
        result, lora_a_out = fp8_product().forward_of_norm(elementwise, x, weight, 1e-6, y if adds else None)
        results.append([result, lora_a_out, y])
    assert torch.equal(results[0][2], results[1][2])
    torch.testing.assert_close(results[0][1], results[1][1], atol=1e-3, rtol=1e-4)
    error = (results[0][0] - results[1][0]).norm()
    assert error < 0.1 * results[1][0].norm()  # the interpreter rounds float8 differently


def fp8_product() -> Fp8FusedLinear:
    weight = random_tensor(HEIGHT, WIDTH)
    quantized, scale = quantize_rows_reference(weight)
    back, back_scale = quantize_rows_reference(weight.T)
    return Fp8FusedLinear(quantized, scale[:, 0], back, back_scale[:, 0], None, adapters(), torch.float32)


def test_64_bits_are_left_to_pytorch():
    assert lora_backend.triton_lora("lora_b_backward", torch.zeros(2, dtype=torch.float64, device=DEVICE)) is None
    assert lora_backend.triton_lora("lora_b_backward", torch.zeros(2, device=DEVICE)) is not None


def test_adapters_are_quantized_once_until_they_change(fp8_kernels, monkeypatch):
    run, calls = fp8_kernels.quantize_adapters, []
    monkeypatch.setattr(fp8_kernels, "quantize_adapters", lambda *sides: calls.append(sides) or run(*sides))
    product = fp8_product()
    product.lora_b_grads(random_tensor(5, HEIGHT), random_tensor(5, RANKS))
    product.lora_b_grads(random_tensor(5, HEIGHT), random_tensor(5, RANKS))
    assert len(calls) == 1
    product.invalidate()
    product.lora_b_grads(random_tensor(5, HEIGHT), random_tensor(5, RANKS))
    assert len(calls) == 2
