"""Triton's attention against the plain form; on a GPU, or with TRITON_INTERPRET=1 anywhere."""

import importlib.util
import itertools
import os

import pytest
import torch

from texlens.kernels.attention.api import attend_reference, segments
from texlens.kernels.decoder_layer import layer

interpreted = os.environ.get("TRITON_INTERPRET") == "1"
can_triton = importlib.util.find_spec("triton") and (torch.cuda.is_available() or interpreted)
if not can_triton:
    pytest.skip("no Triton, or no GPU and no interpreter", allow_module_level=True)

from texlens.kernels.attention import triton as triton_attention  # noqa: E402

Blocks = triton_attention.Blocks

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SMALL, TALL, WIDE = Blocks(16, 32, 4, 1), Blocks(32, 16, 4, 1, "masked"), Blocks(16, 32, 4, 1, "branch")
ENDS = [0, 17, 17, 50, 51, 56]


def drawn(tokens: int, heads: int, groups: int, width: int) -> list[torch.Tensor]:
    """Queries, keys and values as parts of one wider product, and a slope."""
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(tokens, (heads + 2 * groups) * width, generator=generator).to(DEVICE)
    parts = wide.split([heads * width, groups * width, groups * width], 1)
    slope = torch.randn(tokens, heads, width, generator=generator).to(DEVICE)
    return [*(part.unflatten(1, (-1, width)) for part in parts), slope]


def run(query, key, value, slope, ends, causal, blocks):
    mixed, sums = triton_attention.forward(query, key, value, ends, causal=causal, blocks=blocks)
    slopes = triton_attention.backward(
        slope, query, key, value, mixed, sums, ends, causal=causal, query_blocks=blocks, key_blocks=blocks
    )
    return [mixed, *slopes]


def expected(query, key, value, slope, ends, causal):
    trained = [tensor.detach().clone().requires_grad_() for tensor in (query, key, value)]
    mixed = attend_reference(*trained, ends, causal=causal)
    return [mixed, *torch.autograd.grad(mixed, trained, slope)]


def bounds(ends: list[int]) -> torch.Tensor:
    return torch.tensor(ends, dtype=torch.int32, device=DEVICE)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("blocks", [TALL, WIDE])
@pytest.mark.parametrize(
    ("heads", "groups", "width", "ends"),
    [(4, 1, 32, ENDS), (3, 1, 16, [0, 5, 38]), (2, 2, 72, [0, 33, 34]), (4, 2, 16, [0, 70, 70, 70])],
)
def test_it_equals_the_plain_form_and_so_do_its_slopes(causal, blocks, heads, groups, width, ends):
    tensors = drawn(ends[-1], heads, groups, width)
    found = run(*tensors, bounds(ends), causal, blocks)
    for name, tensor, other in zip(
        ("mixed", "query", "key", "value"), found, expected(*tensors, bounds(ends), causal), strict=True
    ):
        torch.testing.assert_close(tensor, other, atol=1e-4, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize(("width", "dtype"), [(16, torch.float32), (24, torch.float16)])
def test_a_border_stays_free_beside_what_is_mixed_and_changes_no_number(width, dtype):
    tensors, ends = [tensor.to(dtype) for tensor in drawn(24, 4, 2, width)], bounds([0, 17, 24])
    expected = run(*tensors, ends, True, WIDE)
    mixed, sums = triton_attention.forward(*tensors[:3], ends, causal=True, border=8, blocks=WIDE)
    assert mixed.stride() == (4 * width + 8, width, 1)
    mixed.as_strided((24, 8), (4 * width + 8, 1), 4 * width).fill_(torch.nan)
    slopes = triton_attention.backward(
        tensors[3], *tensors[:3], mixed, sums, ends, causal=True, query_blocks=WIDE, key_blocks=WIDE
    )
    for tensor, other in zip([mixed, *slopes], expected, strict=True):
        assert torch.equal(tensor, other)


def test_a_layer_gets_what_is_mixed_with_its_border_and_without_a_copy(monkeypatch):
    made, forward = [], triton_attention.forward
    monkeypatch.setattr(
        triton_attention, "forward", lambda *given, **more: made.append(forward(*given, **more)) or made[0]
    )
    mixed, _ = layer._attend(*drawn(24, 4, 2, 16)[:3], segments(bounds([0, 17, 24]), 17), 8)
    assert mixed.shape == (24, 4 * 16 + 8)
    assert mixed.data_ptr() == made[0][0].data_ptr()
    assert torch.equal(mixed[:, :64], made[0][0].flatten(1))


def test_the_sums_are_the_logarithm_to_base_2():
    query, key, value, _ = drawn(7, 2, 1, 16)
    sums = triton_attention.forward(query, key, value, bounds([0, 7]), causal=False, blocks=SMALL)[1]
    scores = torch.einsum("qhd,kgd->gqhk", query, key) / 4
    torch.testing.assert_close(sums, scores.exp().sum(-1).log2(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("behind", "blocks"), [(3, SMALL), (40, WIDE)])
def test_what_lies_behind_the_last_segment_is_0_and_takes_no_part(behind, blocks):
    tensors = drawn(20 + behind, 4, 2, 16)
    for tensor in tensors:
        tensor[20:] = torch.nan
    found = run(*tensors, bounds([0, 5, 20, 20]), True, blocks)
    before = run(*(tensor[:20] for tensor in tensors), bounds([0, 5, 20, 20]), True, blocks)
    for tensor, other in zip(found, before, strict=True):
        assert torch.equal(tensor[:20], other)
        assert not tensor[20:].any()


@pytest.mark.parametrize(("causal", "blocks"), [(True, SMALL), (True, TALL), (False, WIDE)])
def test_a_poisoned_neighbor_changes_nothing(causal, blocks):
    tensors = drawn(40, 4, 2, 16)
    before = run(*tensors, bounds([0, 21, 40]), causal, blocks)
    for tensor in tensors:
        tensor[21:] = torch.nan
    for tensor, other in zip(run(*tensors, bounds([0, 21, 40]), causal, blocks), before, strict=True):
        assert torch.equal(tensor[:21], other[:21])


def test_scores_far_from_0_overflow_nothing():
    query, key, value, slope = drawn(37, 2, 1, 16)
    query, key = query.abs() * 20, -key.abs() * 20
    found = run(query, key, value, slope, bounds([0, 20, 37]), True, SMALL)
    for tensor, other in zip(found, expected(query, key, value, slope, bounds([0, 20, 37]), True), strict=True):
        torch.testing.assert_close(tensor, other, atol=1e-3, rtol=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("heads", "groups", "width", "causal"),
    [(32, 8, 128, True), (28, 4, 128, True), (16, 16, 64, False), (16, 16, 72, False), (16, 16, 80, False)],
)
def test_half_precision_on_a_gpu_stays_near_full(heads, groups, width, causal, dtype):
    ends = list(itertools.accumulate([0, 290, 1, 700, 33, 0, 128]))
    tensors = [tensor.to(dtype) for tensor in drawn(ends[-1] + 50, heads, groups, width)]
    found = run(*tensors, bounds(ends), causal, None)
    full = expected(*(tensor.float()[: ends[-1]] for tensor in tensors), bounds(ends), causal)
    for tensor, other in zip(found, full, strict=True):
        assert not tensor[ends[-1] :].any()
        assert (tensor[: ends[-1]].float() - other).norm() <= 0.01 * other.norm()
