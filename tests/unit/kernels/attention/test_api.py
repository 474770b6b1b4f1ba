import itertools

import pytest
import torch

from texlens.kernels.attention import api as attention
from texlens.kernels.attention.api import attend, attend_reference, segments


def drawn(length: int, heads: int = 4, groups: int = 2, width: int = 8) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(length, count, width, generator=generator) for count in (heads, groups, groups)]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("ends", [[0, 5, 6, 13], [0, 13], [0, 4, 13, 13]])
def test_attention_equals_that_of_each_segment_alone(ends, causal):
    bounds = torch.tensor(ends, dtype=torch.int32)
    tensors = drawn(13)
    lengths = [end - start for start, end in itertools.pairwise(ends)]
    mixed = attend(*tensors, segments(bounds, max(lengths)), causal=causal)
    torch.testing.assert_close(mixed, attend_reference(*tensors, bounds, causal=causal), atol=1e-6, rtol=1e-5)


def test_a_poisoned_neighbor_changes_nothing():
    where = segments(torch.tensor([0, 5, 13], dtype=torch.int32), 8)
    query, key, value = drawn(13)
    before = attend(query, key, value, where, causal=True)
    for tensor in (query, key, value):
        tensor[5:] = 1e4
    assert torch.equal(attend(query, key, value, where, causal=True)[:5], before[:5])


class StandIn:
    """In the kernels' place: the plain form and its slopes by autograd; tells that it was taken."""

    def __init__(self):
        self.calls: list[str] = []

    def forward(self, query, key, value, ends, *, causal):
        self.calls.append("forward")
        return attend_reference(query, key, value, ends, causal=causal), torch.zeros(query.shape[1::-1])

    def backward(self, slope, query, key, value, mixed, sums, ends, *, causal):
        self.calls.append("backward")
        inputs = [part.detach().requires_grad_() for part in (query, key, value)]
        with torch.enable_grad():
            again = attend_reference(*inputs, ends, causal=causal)
        assert torch.equal(again, mixed)
        return torch.autograd.grad(again, inputs, slope)


@pytest.mark.parametrize("by_argument", [True, False])
def test_own_kernels_are_taken_where_they_run_and_asked_for(monkeypatch, by_argument):
    stand_in = StandIn()
    monkeypatch.setattr(attention, "_kernels_for", lambda kind: stand_in)
    monkeypatch.setattr(attention, "TRITON_ENABLED", not by_argument)
    trained = [tensor.requires_grad_() for tensor in drawn(13)]
    where = segments(torch.tensor([0, 5, 13], dtype=torch.int32), 8)
    mixed = attend(*trained, where, causal=True, own=by_argument or None)
    expected = attend(*trained, where, causal=True, own=False)
    torch.testing.assert_close(mixed, expected, atol=1e-5, rtol=1e-5)
    found, other = (torch.autograd.grad(one.square().sum(), trained) for one in (mixed, expected))
    assert stand_in.calls == ["forward", "backward"]
    for slope, known in zip(found, other, strict=True):
        torch.testing.assert_close(slope, known, atol=1e-5, rtol=1e-5)


def test_own_kernels_can_be_done_without(monkeypatch):
    monkeypatch.setattr(attention, "TRITON_ENABLED", True)
    monkeypatch.setattr(attention, "_kernels_for", lambda kind: pytest.fail("own kernels were taken"))
    attention.use_triton(False)
    attend(*drawn(13), segments(torch.tensor([0, 5, 13], dtype=torch.int32), 8), causal=True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("causal", [True, False])
def test_varlen_attention_on_a_gpu_equals_the_plain_form(causal):
    bounds = torch.tensor([0, 50, 300, 512], dtype=torch.int32, device="cuda")
    tensors = [tensor.cuda().bfloat16().requires_grad_() for tensor in drawn(512, 4, 2, 64)]
    mixed = attend(*tensors, segments(bounds, 250), causal=causal, own=False)
    slopes = torch.autograd.grad(mixed.square().sum(), tensors)
    plain = attend_reference(*(tensor.float() for tensor in tensors), bounds, causal=causal)
    expected = torch.autograd.grad(plain.square().sum(), tensors)
    torch.testing.assert_close(mixed.float(), plain, atol=2e-2, rtol=2e-2)
    for slope, other in zip(slopes, expected, strict=True):
        assert (slope.float() - other.float()).norm() <= 0.02 * other.float().norm()
