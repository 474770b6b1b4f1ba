"""Products with quantized stacks, compared with products of the values written out."""

import pytest
import torch

from tests.unit.models.mixtures.quantized_stacks import KINDS, drawn_stack, values_of
from texlens.kernels.experts.grouped import grouped_loop
from texlens.kernels.experts.quantized import quantized_grouped, quantized_product

ENDS = {2: [0, 1, 2], 9: [4, 4, 9]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", ENDS)
def test_products_and_gradients_are_those_of_the_values(kind, rows):
    stack, ends = drawn_stack(kind, (3, 8, 64)), torch.tensor(ENDS[rows], dtype=torch.int32)
    weight = values_of(stack)
    draw = torch.Generator().manual_seed(0)
    x, grad = torch.randn(rows, 64, generator=draw).requires_grad_(), torch.randn(rows, 8, generator=draw)
    product = quantized_product(x, stack, ends)
    torch.testing.assert_close(product, grouped_loop(x, weight, ends), rtol=1e-5, atol=1e-5)
    (dx,) = torch.autograd.grad(product, x, grad)
    expected = grouped_loop(grad, weight.transpose(1, 2), ends)
    torch.testing.assert_close(dx, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(quantized_grouped(grad, stack, ends, transposed=True), expected, rtol=1e-5, atol=1e-5)


def test_few_rows_write_out_their_own_experts_alone():
    stack, written = drawn_stack("fp8", (3, 8, 64)), []
    write = stack.write
    stack.write = lambda out, experts=None: (written.append(experts), write(out, experts))
    quantized_grouped(torch.randn(2, 64), stack, torch.tensor([0, 1, 2], dtype=torch.int32))
    assert written[0].tolist() == [1, 2]
