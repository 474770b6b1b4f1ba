"""Products with quantized rows."""

import pytest
import torch

from tests.unit.kernels.fp8.random_tensors import DEVICE, random_tensor
from texlens.kernels.adapter import Adapter
from texlens.kernels.fp8.reference import quantize_rows_reference
from texlens.kernels.lora_linear.augmented import DenseLinear
from texlens.kernels.lora_linear.fp8_linear import Fp8FusedLinear


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
