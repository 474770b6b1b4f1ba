import itertools

import pytest
import torch

from texlens.kernels.attention import attend, attend_plainly, segments


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
