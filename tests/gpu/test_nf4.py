"""NF4 bases on a GPU: the kernel at full size, and fused layers beside bitsandbytes' own."""

import importlib.util

import pytest
import torch

from tests.unit.models.packed.packs import gradients, pack_of
from tests.unit.models.packed.test_nf4 import quantized
from texlens.kernels.nf4.dequantize import dequantize
from texlens.kernels.nf4.format import nf4_weight
from texlens.models.packed.forward import packed_forward

MISSING = [name for name in ("bitsandbytes", "triton") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]


@pytest.mark.parametrize("shape", [(9728, 2560), (2560, 9728), (1024, 2560), (2560, 4096)])
def test_a_weight_of_full_size_is_written_as_bitsandbytes_does_it(shape):
    import bitsandbytes

    torch.manual_seed(0)
    numbers = torch.randn(shape, dtype=torch.bfloat16, device="cuda")
    parameter = bitsandbytes.nn.Params4bit(numbers, quant_type="nf4").to("cuda")
    whole = torch.full((shape[0] + 16, shape[1] + 16), 9.0, dtype=torch.bfloat16, device="cuda")
    dequantize(nf4_weight(parameter), whole[: shape[0], : shape[1]])
    expected = bitsandbytes.functional.dequantize_4bit(parameter.data, parameter.quant_state)
    assert torch.equal(whole[: shape[0], : shape[1]], expected)
    assert (whole[shape[0] :] == 9).all()
    assert (whole[:, shape[1] :] == 9).all()


@pytest.mark.parametrize("recompute", ["none", "full"])
@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl"])
def test_fused_layers_are_near_bitsandbytes_modules(family, recompute, tmp_path):
    trained, model, processor = quantized(tmp_path, family, device="cuda")
    laid = pack_of(model, processor, token_multiple=128, patch_multiple=128)
    pack = {name: part.cuda() if isinstance(part, torch.Tensor) else part for name, part in laid.items()}
    reference = packed_forward(model, processor.geometry, fused=False).loss(pack)
    expected = gradients(reference, trained)
    forward = packed_forward(model, processor.geometry, recompute=recompute, backend="triton")
    assert forward.text.unfused == {}
    loss = forward.loss(pack)
    results = gradients(loss, trained)
    torch.testing.assert_close(loss, reference, rtol=2e-2, atol=0)
    assert results.keys() == expected.keys()
    ours, theirs = (torch.cat([grads[name].flatten() for name in expected]) for grads in (results, expected))
    assert (ours - theirs).norm() < 0.1 * theirs.norm()
