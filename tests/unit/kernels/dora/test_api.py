"""DoRA's scaling compared with the reference; Triton on a GPU, or with TRITON_INTERPRET=1 anywhere."""

import pytest
import torch

from tests.unit.kernels.triton_here import DEVICE, needs_triton
from texlens.kernels.dora import reference
from texlens.kernels.dora.api import BACKENDS


@needs_triton
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize(("tokens", "width"), [(70, 300), (1, 256), (0, 40), (33, 520)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_scaling_equals_the_reference(tokens, width, dtype, in_place):
    generator = torch.Generator().manual_seed(width)
    x, grad = (torch.randn(tokens, width + 8, generator=generator).to(DEVICE, dtype)[:, :width] for _ in range(2))
    scale, bias = (torch.randn(width, generator=generator).to(DEVICE) for _ in range(2))
    for part in (None, bias.to(dtype)):
        expected = reference.scale_columns(x, scale, part, torch.empty_like(x))
        source = x.clone()
        result = BACKENDS["triton"].scale_columns(source, scale, part, source if in_place else torch.empty_like(x))
        torch.testing.assert_close(result, expected)
    out = grad.clone()
    source = out if in_place else grad
    sums = BACKENDS["triton"].scale_grad(source, x, scale, out)
    expected = torch.empty_like(grad)
    torch.testing.assert_close(sums, reference.scale_grad(grad.float(), x.float(), scale, expected.float()))
    torch.testing.assert_close(out, reference_grad(grad, scale))


def test_the_reference_scales_in_place():
    x, scale, grad = torch.tensor([[1.0, 2.0]]), torch.tensor([3.0, 0.5]), torch.tensor([[4.0, 6.0]])
    assert reference.scale_columns(x, scale, torch.tensor([1.0, 0.0]), x).tolist() == [[4.0, 1.0]]
    assert reference.scale_grad(grad, x, scale, grad).tolist() == [16.0, 6.0]
    assert grad.tolist() == [[12.0, 3.0]]


def reference_grad(grad, scale):
    return (grad.float() * scale).to(grad.dtype)
