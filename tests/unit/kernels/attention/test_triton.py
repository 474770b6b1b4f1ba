"""Triton's attention compared with the reference; on a GPU, or with TRITON_INTERPRET=1 anywhere."""

import itertools

import pytest
import torch

from tests.unit.kernels.attention.branched import ROWS, prefixes_of, tokens_of
from tests.unit.kernels.triton_here import DEVICE, skip_module_without_triton
from texlens.kernels.attention.reference import attend_branches_reference, attend_reference
from texlens.kernels.attention.segments import make_segments
from texlens.kernels.decoder_layer.attention_half import attend_with_backward

skip_module_without_triton()

from texlens.kernels.attention import triton as triton_attention  # noqa: E402

AttentionTile = triton_attention.AttentionTile

SMALL, TALL, BRANCH = (
    AttentionTile(16, 32, 4, 1),
    AttentionTile(32, 16, 4, 1, "masked"),
    AttentionTile(16, 32, 4, 1, "branch"),
)
ENDS = [0, 17, 17, 50, 51, 56]


def random_tensor(tokens: int, heads: int, groups: int, width: int) -> list[torch.Tensor]:
    """Queries, keys and values as parts of one wider product, and a gradient."""
    generator = torch.Generator().manual_seed(0)
    product = torch.randn(tokens, (heads + 2 * groups) * width, generator=generator).to(DEVICE)
    parts = product.split([heads * width, groups * width, groups * width], 1)
    grad = torch.randn(tokens, heads, width, generator=generator).to(DEVICE)
    return [*(part.unflatten(1, (-1, width)) for part in parts), grad]


def run(query, key, value, grad, cu_seqlens, causal, tiles):
    attn_out, log_sums = triton_attention.forward(query, key, value, cu_seqlens, causal=causal, tiles=tiles)
    grads = triton_attention.backward(
        grad, query, key, value, attn_out, log_sums, cu_seqlens, causal=causal, query_tiles=tiles, key_tiles=tiles
    )
    return [attn_out, *grads]


def expected(query, key, value, grad, cu_seqlens, causal):
    trained = [tensor.detach().clone().requires_grad_() for tensor in (query, key, value)]
    attn_out = attend_reference(*trained, cu_seqlens, causal=causal)
    return [attn_out, *torch.autograd.grad(attn_out, trained, grad)]


def bounds(cu_seqlens: list[int]) -> torch.Tensor:
    return torch.tensor(cu_seqlens, dtype=torch.int32, device=DEVICE)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("tiles", [TALL, BRANCH])
@pytest.mark.parametrize(
    ("heads", "groups", "width", "cu_seqlens"),
    [(4, 1, 32, ENDS), (3, 1, 16, [0, 5, 38]), (2, 2, 72, [0, 33, 34]), (4, 2, 16, [0, 70, 70, 70])],
)
def test_output_and_gradients_equal_the_reference(causal, tiles, heads, groups, width, cu_seqlens):
    tensors = random_tensor(cu_seqlens[-1], heads, groups, width)
    results = run(*tensors, bounds(cu_seqlens), causal, tiles)
    for name, tensor, other in zip(
        ("output", "query", "key", "value"), results, expected(*tensors, bounds(cu_seqlens), causal), strict=True
    ):
        torch.testing.assert_close(tensor, other, atol=1e-4, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize(("width", "dtype"), [(16, torch.float32), (24, torch.float16)])
def test_extra_columns_are_not_written_and_change_nothing(width, dtype):
    tensors, cu_seqlens = [tensor.to(dtype) for tensor in random_tensor(24, 4, 2, width)], bounds([0, 17, 24])
    expected = run(*tensors, cu_seqlens, True, BRANCH)
    attn_out, log_sums = triton_attention.forward(*tensors[:3], cu_seqlens, causal=True, extra_columns=8, tiles=BRANCH)
    assert attn_out.stride() == (4 * width + 8, width, 1)
    attn_out.as_strided((24, 8), (4 * width + 8, 1), 4 * width).fill_(torch.nan)
    grads = triton_attention.backward(
        tensors[3],
        *tensors[:3],
        attn_out,
        log_sums,
        cu_seqlens,
        causal=True,
        query_tiles=BRANCH,
        key_tiles=BRANCH,
    )
    for tensor, other in zip([attn_out, *grads], expected, strict=True):
        assert torch.equal(tensor, other)


def test_layer_takes_output_with_extra_columns_without_a_copy(monkeypatch):
    outputs, forward = [], triton_attention.forward
    monkeypatch.setattr(
        triton_attention,
        "forward",
        lambda *tensors, **options: outputs.append(forward(*tensors, **options)) or outputs[0],
    )
    segments = make_segments(bounds([0, 17, 24]), 17)
    attn_out, _ = attend_with_backward(*random_tensor(24, 4, 2, 16)[:3], segments, 8, causal=True)
    assert attn_out.shape == (24, 4 * 16 + 8)
    assert attn_out.data_ptr() == outputs[0][0].data_ptr()
    assert torch.equal(attn_out[:, :64], outputs[0][0].flatten(1))


def test_log_sums_are_logarithms_to_base_2():
    query, key, value, _ = random_tensor(7, 2, 1, 16)
    log_sums = triton_attention.forward(query, key, value, bounds([0, 7]), causal=False, tiles=SMALL)[1]
    scores = torch.einsum("qhd,kgd->gqhk", query, key) / 4
    torch.testing.assert_close(log_sums, scores.exp().sum(-1).log2(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("trailing", "tiles"), [(3, SMALL), (40, BRANCH)])
def test_tokens_after_the_last_segment_are_0_and_ignored(trailing, tiles):
    tensors = random_tensor(20 + trailing, 4, 2, 16)
    for tensor in tensors:
        tensor[20:] = torch.nan
    results = run(*tensors, bounds([0, 5, 20, 20]), True, tiles)
    before = run(*(tensor[:20] for tensor in tensors), bounds([0, 5, 20, 20]), True, tiles)
    for tensor, other in zip(results, before, strict=True):
        assert torch.equal(tensor[:20], other)
        assert not tensor[20:].any()


@pytest.mark.parametrize(("causal", "tiles"), [(True, SMALL), (True, TALL), (False, BRANCH)])
def test_a_poisoned_neighbor_changes_nothing(causal, tiles):
    tensors = random_tensor(40, 4, 2, 16)
    before = run(*tensors, bounds([0, 21, 40]), causal, tiles)
    for tensor in tensors:
        tensor[21:] = torch.nan
    for tensor, other in zip(run(*tensors, bounds([0, 21, 40]), causal, tiles), before, strict=True):
        assert torch.equal(tensor[:21], other[:21])


def test_large_scores_do_not_overflow():
    query, key, value, grad = random_tensor(37, 2, 1, 16)
    query, key = query.abs() * 20, -key.abs() * 20
    results = run(query, key, value, grad, bounds([0, 20, 37]), True, SMALL)
    for tensor, other in zip(results, expected(query, key, value, grad, bounds([0, 20, 37]), True), strict=True):
        torch.testing.assert_close(tensor, other, atol=1e-3, rtol=1e-3)


def run_branches(query, key, value, grad, prefixes, tiles):
    options = {"causal": True, "prefixes": prefixes}
    attn_out, log_sums = triton_attention.forward(query, key, value, prefixes.cu_seqlens, tiles=tiles, **options)
    grads = triton_attention.backward(
        grad, query, key, value, attn_out, log_sums, prefixes.cu_seqlens, query_tiles=tiles, key_tiles=tiles, **options
    )
    return [attn_out, *grads]


@pytest.mark.parametrize("tiles", [TALL, BRANCH])
@pytest.mark.parametrize(
    ("heads", "groups", "width", "rows"),
    [
        (4, 1, 32, ROWS),
        (3, 1, 16, [(37, [5, 20, 1]), (3, [])]),
        (2, 2, 72, [(1, [40, 2]), (18, [])]),
        (4, 2, 16, [(16, [16, 16]), (16, []), (40, [33]), (0, [])]),
    ],
)
def test_branches_equal_the_reference_with_gradients(tiles, heads, groups, width, rows):
    tensors, prefixes = random_tensor(tokens_of(rows), heads, groups, width), prefixes_of(rows, DEVICE)
    results = run_branches(*tensors, prefixes, tiles)
    trained = [tensor.detach().clone().requires_grad_() for tensor in tensors[:3]]
    output = attend_branches_reference(*trained, prefixes)
    others = [output, *torch.autograd.grad(output, trained, tensors[3])]
    for name, tensor, other in zip(("output", "query", "key", "value"), results, others, strict=True):
        torch.testing.assert_close(tensor, other, atol=1e-4, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


def test_a_poisoned_branch_changes_its_siblings_in_nothing():
    tensors, prefixes = random_tensor(tokens_of(), 4, 2, 16), prefixes_of(device=DEVICE)
    before = run_branches(*tensors, prefixes, BRANCH)
    for tensor in tensors:
        tensor[8:9] = torch.nan  # the second of three branches
    after = run_branches(*tensors, prefixes, BRANCH)
    for tensor, other in zip(after, before, strict=True):
        assert torch.equal(tensor[9:], other[9:])
        assert torch.equal(tensor[5:8], other[5:8])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("heads", "groups", "width", "causal"),
    [(32, 8, 128, True), (28, 4, 128, True), (16, 16, 64, False), (16, 16, 72, False), (16, 16, 80, False)],
)
def test_half_precision_on_a_gpu_stays_near_full(heads, groups, width, causal, dtype):
    cu_seqlens = list(itertools.accumulate([0, 290, 1, 700, 33, 0, 128]))
    tensors = [tensor.to(dtype) for tensor in random_tensor(cu_seqlens[-1] + 50, heads, groups, width)]
    results = run(*tensors, bounds(cu_seqlens), causal, None)
    reference = expected(*(tensor.float()[: cu_seqlens[-1]] for tensor in tensors), bounds(cu_seqlens), causal)
    for tensor, other in zip(results, reference, strict=True):
        assert not tensor[cu_seqlens[-1] :].any()
        assert (tensor[: cu_seqlens[-1]].float() - other).norm() <= 0.01 * other.norm()
