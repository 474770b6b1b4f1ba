"""LoRA products of dropped inputs compared with the reference; Triton on a GPU, or with TRITON_INTERPRET=1 anywhere."""

import pytest
import torch

from tests.unit.kernels.triton_here import DEVICE, needs_triton
from texlens.kernels.dropout import reference
from texlens.kernels.dropout.api import BACKENDS
from texlens.kernels.dropout.mask import DropoutSeed, LoraDropout

pytestmark = needs_triton
HALF = torch.bfloat16 if torch.cuda.is_available() else torch.float16  # the interpreter has no products in bfloat16


@pytest.mark.parametrize("dtype", [torch.float32, HALF])
@pytest.mark.parametrize(("tokens", "width", "ranks"), [(70, 150, 8), (1, 128, 16), (33, 300, 130)])
def test_products_equal_those_of_masked_inputs(tokens, width, ranks, dtype):
    generator = torch.Generator().manual_seed(ranks)
    shapes = (tokens, width + 8), (ranks, width), (tokens, ranks)
    rows, lora_a, grad = (torch.randn(*shape, generator=generator).to(DEVICE, dtype) for shape in shapes)
    x, dropout = rows[:, :width], LoraDropout(0.25, 3, DropoutSeed(torch.tensor([1 << 40 | 77], device=DEVICE)))
    kernels = BACKENDS["triton"]
    limit = 1e-5 if dtype == torch.float32 else 1e-2
    expected = reference.dropped_product(x.float(), lora_a.float(), dropout)
    assert error(kernels.dropped_product(x, lora_a, dropout), expected) < limit
    assert error(kernels.dropped_sum(grad, x, dropout), reference.dropped_sum(grad.float(), x.float(), dropout)) < limit
    written = torch.full_like(rows, float("nan"))[:, :width]
    expected = reference.write_dropped_grad(x.float(), grad.float(), lora_a.float(), dropout)
    assert error(kernels.write_dropped_grad(written, grad, lora_a, dropout), expected) < limit
    added = rows.clone()[:, :width]
    expected = reference.add_dropped_grad(x.float(), grad.float(), lora_a.float(), dropout)
    assert error(kernels.add_dropped_grad(added, grad, lora_a, dropout), expected) < limit


def test_no_rows_have_no_products_and_a_sum_of_zeros():
    x, lora_a, grad = (torch.ones(shape, device=DEVICE) for shape in ((0, 150), (8, 150), (0, 8)))
    dropout, kernels = LoraDropout(0.25, 3, DropoutSeed(torch.tensor([7], device=DEVICE))), BACKENDS["triton"]
    assert kernels.dropped_product(x, lora_a, dropout).shape == (0, 8)
    assert torch.equal(kernels.dropped_sum(grad, x, dropout), torch.zeros(8, 150, device=DEVICE))
    assert kernels.add_dropped_grad(x, grad, lora_a, dropout).shape == (0, 150)


def error(result: torch.Tensor, expected: torch.Tensor) -> float:
    return float((result.float() - expected).norm() / expected.norm())
