import itertools

import pytest
import torch

from tests.unit.kernels.attention.branched import prefixes_of, tokens_of
from texlens.kernels import backends
from texlens.kernels.attention import api
from texlens.kernels.attention.api import attend
from texlens.kernels.attention.reference import attend_branches_reference, attend_reference
from texlens.kernels.attention.segments import Segments, branched_segments, make_segments


def random_tensors(length: int, heads: int = 4, groups: int = 2, width: int = 8) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(length, count, width, generator=generator) for count in (heads, groups, groups)]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("cu_seqlens", [[0, 5, 6, 13], [0, 13], [0, 4, 13, 13]])
def test_attention_equals_that_of_each_segment_alone(cu_seqlens, causal):
    bounds = torch.tensor(cu_seqlens, dtype=torch.int32)
    tensors = random_tensors(13)
    lengths = [end - start for start, end in itertools.pairwise(cu_seqlens)]
    attn_out = attend(*tensors, make_segments(bounds, max(lengths)), causal=causal)
    torch.testing.assert_close(attn_out, attend_reference(*tensors, bounds, causal=causal), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("causal", [True, False])
def test_segments_without_a_padded_form_get_one_in_32_bits(causal):
    """As on a GPU without Triton, whose last tokens may be in no segment."""
    bounds, tensors = torch.tensor([0, 5, 6, 11], dtype=torch.int32), random_tensors(13)
    output = attend(*tensors, Segments(bounds, 512), causal=causal, triton=False)
    first = [tensor[:11] for tensor in tensors]
    torch.testing.assert_close(output[:11], attend_reference(*first, bounds, causal=causal), atol=1e-6, rtol=1e-5)
    assert not output[11:].any()


def test_a_poisoned_neighbor_changes_nothing():
    segments = make_segments(torch.tensor([0, 5, 13], dtype=torch.int32), 8)
    query, key, value = random_tensors(13)
    before = attend(query, key, value, segments, causal=True)
    for tensor in (query, key, value):
        tensor[5:] = 1e4
    assert torch.equal(attend(query, key, value, segments, causal=True)[:5], before[:5])


def test_branches_attend_to_prefix_and_themselves_and_gradients_add_up():
    prefixes = prefixes_of()
    trained = [tensor.requires_grad_() for tensor in random_tensors(tokens_of())]
    output = attend(*trained, branched_segments(prefixes), causal=True)
    expected = attend_branches_reference(*trained, prefixes)
    torch.testing.assert_close(output, expected, atol=1e-6, rtol=1e-5)
    weight = torch.linspace(-1, 1, output.numel()).view_as(output)
    grads, others = (torch.autograd.grad((y * weight).sum(), trained, retain_graph=True) for y in (output, expected))
    for grad, other in zip(grads, others, strict=True):
        torch.testing.assert_close(grad, other, atol=1e-6, rtol=1e-5)


def test_a_poisoned_branch_changes_its_siblings_in_nothing():
    segments, tensors = branched_segments(prefixes_of()), random_tensors(tokens_of())
    before = attend(*tensors, segments, causal=True)
    for tensor in tensors:
        tensor[8:9] = torch.nan  # the second of three branches
    after = attend(*tensors, segments, causal=True)
    assert torch.equal(after[:8], before[:8])
    assert torch.equal(after[9:], before[9:])
    assert after[8].isnan().all()


def test_prefixes_without_a_causal_mask_are_an_error():
    with pytest.raises(ValueError, match="causally"):
        attend(*random_tensors(tokens_of()), branched_segments(prefixes_of()), causal=False)


class FakeKernels:
    """The reference and its gradients by autograd in place of the kernels; records its calls."""

    def __init__(self):
        self.calls: list[str] = []

    def forward(self, query, key, value, cu_seqlens, *, causal, extra_columns=0):
        self.calls.append("forward")
        return attend_reference(query, key, value, cu_seqlens, causal=causal), torch.zeros(2, len(query), 2)

    def backward(self, grad, query, key, value, output, log_sums, cu_seqlens, *, causal):
        self.calls.append("backward")
        inputs = [part.detach().requires_grad_() for part in (query, key, value)]
        with torch.enable_grad():
            recomputed = attend_reference(*inputs, cu_seqlens, causal=causal)
        assert torch.equal(recomputed, output)
        return torch.autograd.grad(recomputed, inputs, grad)


@pytest.fixture
def fake(monkeypatch):
    kernels = FakeKernels()
    monkeypatch.setattr(api, "BACKENDS", {"triton": kernels})
    monkeypatch.setattr(backends, "_can_run_triton", lambda device_type: True)
    return kernels


@pytest.mark.parametrize("by_argument", [True, False])
def test_triton_kernels_are_used_where_they_run_and_are_enabled(monkeypatch, fake, by_argument):
    monkeypatch.setattr(backends, "TRITON_ENABLED", not by_argument)
    trained = [tensor.requires_grad_() for tensor in random_tensors(13)]
    segments = make_segments(torch.tensor([0, 5, 13], dtype=torch.int32), 8)
    output = attend(*trained, segments, causal=True, triton=by_argument or None)
    expected = attend(*trained, segments, causal=True, triton=False)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
    grads, expected_grads = (torch.autograd.grad(y.square().sum(), trained) for y in (output, expected))
    assert fake.calls == ["forward", "backward"]
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, expected_grad, atol=1e-5, rtol=1e-5)


def test_triton_kernels_can_be_turned_off(monkeypatch, fake):
    monkeypatch.setattr(backends, "TRITON_ENABLED", True)
    backends.use_triton(False)
    attend(*random_tensors(13), make_segments(torch.tensor([0, 5, 13], dtype=torch.int32), 8), causal=True)
    assert fake.calls == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("causal", [True, False])
def test_attention_without_triton_on_a_gpu_equals_the_reference(causal, dtype):
    bounds = torch.tensor([0, 50, 300, 512], dtype=torch.int32, device="cuda")
    tensors = [tensor.cuda().to(dtype).requires_grad_() for tensor in random_tensors(512, 4, 2, 64)]
    output = attend(*tensors, make_segments(bounds, 250), causal=causal, triton=False)
    grads = torch.autograd.grad(output.square().sum(), tensors)
    reference = attend_reference(*(tensor.float() for tensor in tensors), bounds, causal=causal)
    expected = torch.autograd.grad(reference.square().sum(), tensors)
    torch.testing.assert_close(output.float(), reference, atol=2e-2, rtol=2e-2)
    for grad, expected_grad in zip(grads, expected, strict=True):
        assert (grad.float() - expected_grad.float()).norm() <= 0.02 * expected_grad.float().norm()
