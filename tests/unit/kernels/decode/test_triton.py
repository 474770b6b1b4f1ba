"""The Triton kernels of a decoding step compared with the reference, in Triton's interpreter or on a GPU."""

import os

import pytest
import torch

from texlens.kernels.decode import reference
from texlens.kernels.decode.lora import Product, RowLora
from texlens.kernels.decode.reference import HeadShape

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
CAN_RUN = torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1"
pytestmark = pytest.mark.skipif(not CAN_RUN, reason="needs a GPU, or Triton's interpreter (TRITON_INTERPRET=1)")

if CAN_RUN:
    from texlens.kernels.decode import triton as kernels


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


def product(rows, widths, ranks, *, adapters=3, seed=0):
    """A product of stacked layers of these widths, each with this many ranks, gates of 0 and 1."""
    height, total = sum(widths), -(-ranks * len(widths) // 8) * 8
    if not ranks:
        return Product(drawn(rows, height, seed=seed))
    up, row = torch.zeros(total, height, device=DEVICE), 0
    for number, width in enumerate(widths):
        up[number * ranks : (number + 1) * ranks, row : row + width] = drawn(ranks, width, seed=seed + 1 + number)
        row += width
    gates = (drawn(adapters, total, seed=seed + 9) > 0).float()
    number = torch.arange(rows, device=DEVICE, dtype=torch.int32) % adapters
    sections = tuple(ranks * number for number in range(len(widths) + 1))
    both = drawn(rows, height + total, seed=seed)
    return Product(both[:, :height], RowLora(both[:, height:], up, gates, number, sections))


def assert_close(ours, expected):
    torch.testing.assert_close(ours, expected, rtol=2e-5, atol=2e-5)


@pytest.fixture(params=[False, True], ids=["few rows", "many rows"])
def many(request, monkeypatch):
    """Kernels as they run for a step, and as for a pack of prompts."""
    monkeypatch.setattr(kernels, "MANY_ROWS", 0 if request.param else 1024)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(("rows", "width", "ranks"), [(1, 64, 0), (3, 96, 8), (20, 80, 20), (37, 160, 40)])
def test_sum_and_norm(rows, width, ranks):
    x, weight, y = drawn(rows, width, seed=5), drawn(width, seed=6), product(rows, [width], ranks)
    for ours, expected in zip(
        kernels.add_norm(x, y, weight, 1e-6), reference.add_norm(x, y, weight, 1e-6), strict=True
    ):
        assert_close(ours, expected)
    assert_close(kernels.norm(x, weight, 1e-6), reference.norm(x, weight, 1e-6))


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(("rows", "ranks", "normed"), [(1, 0, True), (5, 4, False), (19, 20, True)])
def test_heads_and_the_write_into_the_cache(rows, ranks, normed):
    queries, keys, width = 4, 2, 32
    y = product(rows, [queries * width, keys * width, keys * width], ranks)
    norms = (drawn(width, seed=3), drawn(width, seed=4)) if normed else (None, None)
    heads = HeadShape(queries, keys, width, *norms, 1e-6)
    angles = drawn(rows, width // 2, seed=8).repeat(1, 2)
    at = torch.randperm(64, generator=torch.Generator().manual_seed(0))[:rows].to(DEVICE)
    caches = [torch.full((64, keys, width), torch.nan, device=DEVICE) for _ in range(4)]

    ours = kernels.split_heads(y, heads, angles.cos(), angles.sin(), *caches[:2], at)
    expected = reference.split_heads(y, heads, angles.cos(), angles.sin(), *caches[2:], at)

    for part, reference_part in zip(ours, expected, strict=True):
        assert_close(part, reference_part)
    for part, reference_part in zip(caches[:2], caches[2:], strict=True):
        torch.testing.assert_close(part, reference_part, rtol=2e-5, atol=2e-5, equal_nan=True)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(("rows", "width", "ranks"), [(1, 48, 0), (5, 130, 4), (18, 200, 20)])
def test_swiglu(rows, width, ranks):
    y = product(rows, [width, width], ranks)
    assert_close(kernels.swiglu(y), reference.swiglu(y))
