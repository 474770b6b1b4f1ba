import itertools

import pytest
import torch

from texlens.kernels import attention
from texlens.kernels.attention import attend, attend_back, attend_forward, attend_plainly, segments


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
    torch.testing.assert_close(mixed, attend_plainly(*tensors, bounds, causal=causal), atol=1e-6, rtol=1e-5)


def test_a_poisoned_neighbour_changes_nothing():
    where = segments(torch.tensor([0, 5, 13], dtype=torch.int32), 8)
    query, key, value = drawn(13)
    before = attend(query, key, value, where, causal=True)
    for tensor in (query, key, value):
        tensor[5:] = 1e4
    assert torch.equal(attend(query, key, value, where, causal=True)[:5], before[:5])


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("ends", [[0, 5, 6, 13], [0, 4, 13, 13]])
def test_the_two_halves_without_autograd_equal_autograd(ends, causal):
    bounds = torch.tensor(ends, dtype=torch.int32)
    query, key, value, slope = [*drawn(13), drawn(13)[0].flip(0)]
    trained = [tensor.requires_grad_() for tensor in (query, key, value)]
    expected = attend_plainly(*trained, bounds, causal=causal)
    where = segments(bounds, 9)
    with torch.no_grad():
        mixed, sums = attend_forward(*trained, where, causal=causal)
        slopes = attend_back(slope, *trained, mixed, sums, where, causal=causal)
    torch.testing.assert_close(mixed, expected, atol=1e-5, rtol=1e-5)
    for tensor, other in zip(slopes, torch.autograd.grad(expected, trained, slope), strict=True):
        torch.testing.assert_close(tensor, other, atol=1e-5, rtol=1e-5)


def test_tokens_after_the_last_segment_mix_to_0():
    where = segments(torch.tensor([0, 5, 9], dtype=torch.int32), 5)
    mixed, sums = attend_forward(*drawn(13), where, causal=True)
    assert not mixed[9:].any()
    assert not sums[:, 9:].any()


@pytest.mark.parametrize("by_argument", [True, False])
def test_own_kernels_are_taken_where_they_run_and_asked_for(monkeypatch, by_argument):
    taken = []

    def told(*tensors, causal):
        taken.append(causal)
        return attend_forward(*tensors, causal=causal)

    monkeypatch.setattr(attention, "has_own_kernels", lambda device: True)
    monkeypatch.setattr(attention, "OWN_KERNELS", not by_argument)
    monkeypatch.setattr(
        attention, "attend_forward", lambda *given, **kinds: taken.append(1) or attend_forward(*given, **kinds)
    )
    trained = [tensor.requires_grad_() for tensor in drawn(13)]
    where = segments(torch.tensor([0, 5, 13], dtype=torch.int32), 8)
    mixed = attend(*trained, where, causal=True, own=by_argument or None)
    expected = attend(*trained, where, causal=True, own=False)
    assert taken == [True]
    torch.testing.assert_close(mixed, expected, atol=1e-5, rtol=1e-5)
    found, other = (torch.autograd.grad(one.square().sum(), trained) for one in (mixed, expected))
    for slope, known in zip(found, other, strict=True):
        torch.testing.assert_close(slope, known, atol=1e-5, rtol=1e-5)


def test_own_kernels_can_be_done_without(monkeypatch):
    monkeypatch.setattr(attention, "OWN_KERNELS", True)
    monkeypatch.setattr(attention, "has_own_kernels", lambda device: True)
    monkeypatch.setattr(attention, "attend_forward", lambda *given, **kinds: pytest.fail("own kernels were taken"))
    attention.use_own_kernels(False)
    attend(*drawn(13), segments(torch.tensor([0, 5, 13], dtype=torch.int32), 8), causal=True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("causal", [True, False])
def test_varlen_attention_on_a_gpu_equals_the_plain_form(causal):
    bounds = torch.tensor([0, 50, 300, 512], dtype=torch.int32, device="cuda")
    tensors = [tensor.cuda().bfloat16().requires_grad_() for tensor in drawn(512, 4, 2, 64)]
    mixed = attend(*tensors, segments(bounds, 250), causal=causal)
    slopes = torch.autograd.grad(mixed.square().sum(), tensors)
    plain = attend_plainly(*(tensor.float() for tensor in tensors), bounds, causal=causal)
    expected = torch.autograd.grad(plain.square().sum(), tensors)
    torch.testing.assert_close(mixed.float(), plain, atol=2e-2, rtol=2e-2)
    for slope, other in zip(slopes, expected, strict=True):
        assert (slope.float() - other.float()).norm() <= 0.02 * other.float().norm()
