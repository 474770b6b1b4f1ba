"""What only a GPU runs: grouped products over experts, and 4-bit bases in bfloat16."""

import importlib.util

import pytest
import torch

from tests.fixtures.tiny_models import write_tiny_checkpoint
from texlens.kernels.experts.grouped import grouped, grouped_loop

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def test_grouped_products_equal_the_loop_in_value_and_gradient():
    torch.manual_seed(0)
    x = torch.randn(96, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    weight = torch.randn(4, 32, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    ends = torch.tensor([40, 40, 80, 96], device="cuda", dtype=torch.int32)
    results = []
    for product in (grouped, grouped_loop):
        y = product(x, weight, ends)
        results.append((y, *torch.autograd.grad(y.float().square().sum(), (x, weight))))
    for left, right in zip(*results, strict=True):
        torch.testing.assert_close(left, right, rtol=2e-2, atol=2e-2)


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
@pytest.mark.parametrize("how", ["nf4", "int8"])
def test_a_packed_base_computes_in_bfloat16(how, tmp_path):
    from texlens.config.quantize import QuantizeSettings
    from texlens.models.load import load_model

    folder = write_tiny_checkpoint(tmp_path, "qwen2_vl")
    model = load_model(folder, quantize=QuantizeSettings(quantize=how))
    with torch.no_grad():
        logits = model(input_ids=torch.arange(20, device="cuda")[None]).logits
    assert logits.dtype == torch.bfloat16
    assert torch.isfinite(logits).all()
