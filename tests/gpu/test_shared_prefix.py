"""Packs with shared prefixes in the kernels that a GPU runs: losses and gradients of separate rows, without waiting."""

import pytest
import torch

from tests.fixtures.shared_prefix import branched, separate_rows
from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from tests.unit.kernels.attention.branched import prefixes_of, tokens_of
from tests.unit.models.packed.packs import adapted, gradients
from texlens.inputs.pack import build_pack
from texlens.kernels.attention.api import attend
from texlens.kernels.attention.reference import attend_branches_reference
from texlens.kernels.attention.segments import branched_segments
from texlens.models.packed.forward import pack_spec, packed_forward

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
ROWS = [(200, [10, 100, 64, 37]), (290, []), (64, [64, 64]), (33, [1, 700]), (50, [])]


def on_gpu(pack: dict) -> dict:
    return {name: value.cuda() if isinstance(value, torch.Tensor) else value for name, value in pack.items()}


def packs_of(model, processor) -> list[dict]:
    groups, spec = separate_rows(processor), pack_spec(model.config, processor, padded=True)
    whole = build_pack([row for rows in groups for row in rows], spec)
    return [on_gpu(whole), on_gpu(build_pack(branched(processor, groups), spec))]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_loss_and_gradients_equal_separate_rows(family, dtype):
    model, processor = tiny_model(family)
    trained = adapted(model.to("cuda", dtype)).to("cuda")
    forward = packed_forward(trained.base_model.model, processor.geometry, backend="triton")
    rows, shared = packs_of(model, processor)
    expected_loss, loss = forward.loss(rows), forward.loss(shared)
    torch.testing.assert_close(loss, expected_loss, atol=0, rtol=1e-4 if dtype == torch.float32 else 2e-2)
    expected, grads = gradients(expected_loss, trained), gradients(loss, trained)
    assert grads.keys() == expected.keys()
    for name, grad in grads.items():
        error = (grad - expected[name]).float().norm() / expected[name].float().norm()
        assert error < (1e-3 if dtype == torch.float32 else 0.05), name


@pytest.mark.parametrize(("heads", "groups", "width"), [(32, 8, 128), (28, 4, 128), (16, 8, 64), (8, 2, 256)])
@pytest.mark.parametrize("triton", [True, False])
def test_attention_in_half_precision_stays_near_the_reference(heads, groups, width, triton):
    generator = torch.Generator().manual_seed(0)
    tensors = [
        torch.randn(tokens_of(ROWS), count, width, generator=generator).cuda().bfloat16().requires_grad_()
        for count in (heads, groups, groups)
    ]
    prefixes = prefixes_of(ROWS, "cuda")
    output = attend(*tensors, branched_segments(prefixes), causal=True, triton=triton)
    reference = attend_branches_reference(*(tensor.float() for tensor in tensors), prefixes)
    torch.testing.assert_close(output.float(), reference, atol=2e-2, rtol=2e-2)
    grads, expected = (torch.autograd.grad(y.square().sum(), tensors) for y in (output, reference))
    for grad, other in zip(grads, expected, strict=True):
        assert (grad.float() - other.float()).norm() <= 0.02 * other.float().norm()


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_a_step_does_not_wait_for_the_gpu(family):
    model, processor = tiny_model(family)
    trained = adapted(model.to("cuda", torch.bfloat16)).to("cuda")
    forward = packed_forward(trained.base_model.model, processor.geometry, backend="triton")
    shared = packs_of(model, processor)[1]
    for _ in range(2):
        forward.loss(shared).backward()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        forward.loss(shared).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
