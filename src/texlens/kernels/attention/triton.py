"""Attention within short segments as Triton kernels, forward and backward: launches and tile sizes.

The device code is in `triton_kernels`. Tiles are located on the device: segment i begins at tile cu_seqlens[i] // N +
i, with N positions a tile, because it never needs more tiles than there are before the start of the next one. The grid
depends on T and S alone, so the host waits for nothing and needs no length.

# T = tokens, H = query heads, G = key/value heads, D = width of a head, S = segments
"""

from typing import NamedTuple

import torch
import triton
from jaxtyping import Float, Int
from torch import Tensor

from texlens.kernels.attention.prefixes import Prefixes
from texlens.kernels.attention.triton_kernels import forward_kernel, grad_keys_values_kernel, grad_queries_kernel

LEAST_BOUNDS = 64
"""Kernels are compiled for powers of two of bounds; packs of fewer segments than this share one."""


class AttentionTile(NamedTuple):
    """Rows (positions x heads) and keys of a tile, and launch options.

    Args:
        rows, keys: powers of two, at least 16; no fewer rows than query heads share a key head.
        masking: where scores are masked, `branch` in tiles that need it, `masked` in every tile.
        registers: at most so many a thread; fewer let more tiles run at the same time.
    """

    rows: int
    keys: int
    warps: int
    stages: int
    masking: str = "branch"
    registers: int | None = None

    def keywords(self) -> dict[str, int | bool]:
        """Keyword arguments of a launch."""
        sizes = {"ROWS": self.rows, "KEYS": self.keys, "BRANCH": self.masking == "branch"}
        limits = {} if self.registers is None else {"maxnreg": self.registers}
        return {**sizes, "num_warps": self.warps, "num_stages": self.stages, **limits}


def forward(
    query: Float[Tensor, "T H D"],
    key: Float[Tensor, "T G D"],
    value: Float[Tensor, "T G D"],
    cu_seqlens: Int[Tensor, " bounds"],
    *,
    causal: bool,
    extra_columns: int = 0,
    prefixes: Prefixes | None = None,
    tiles: AttentionTile | None = None,
) -> tuple[Float[Tensor, "T H D"], Float[Tensor, "G T H//G"]]:
    """softmax(q k / sqrt(D)) v within each segment.

    Args:
        query, key, value: tokens may be strided (parts of a wider product), heads must be contiguous.
        cu_seqlens: int32 [S + 1], ascending from 0 to at most T; segments may be empty.
        extra_columns: the output is the left part of a tensor [T, H D + extra_columns]; the rest is not written.
        prefixes: of the same bounds; segments attend to their prefixes too. Causal only.

    Returns:
        the attention output, and log2 of the sum of exp(score) over the keys of each row, which `backward` needs. Both
        are 0 in tokens after the last segment.
    """
    query, key, value = _contiguous_heads(query), _contiguous_heads(key), _contiguous_heads(value)
    tokens, heads, width = query.shape
    output = query.new_empty(tokens, heads * width + extra_columns)[:, : heads * width].unflatten(1, (heads, width))
    tiles = tiles or choose_tiles("forward", query, causal, prefixed=prefixes is not None)
    shape = _Shape.of(query, key, cu_seqlens, prefixes)
    log_sums = torch.empty(key.shape[1], tokens, shape.group, dtype=torch.float32, device=query.device)
    forward_kernel[(shape.tiles(tiles.rows // shape.group), key.shape[1])](
        query, key, value, output, log_sums, cu_seqlens, *shape.prefix_bounds, shape.segments, tokens,
        query.stride(0), key.stride(0), value.stride(0), output.stride(0), width**-0.5,
        **shape.constants, CAUSAL=causal, **tiles.keywords(),
    )  # fmt: skip
    return output, log_sums


def backward(
    grad: Float[Tensor, "T H D"],
    query: Float[Tensor, "T H D"],
    key: Float[Tensor, "T G D"],
    value: Float[Tensor, "T G D"],
    output: Float[Tensor, "T H D"],
    log_sums: Float[Tensor, "G T H//G"],
    cu_seqlens: Int[Tensor, " bounds"],
    *,
    causal: bool,
    prefixes: Prefixes | None = None,
    query_tiles: AttentionTile | None = None,
    key_tiles: AttentionTile | None = None,
) -> tuple[Float[Tensor, "T H D"], Float[Tensor, "T G D"], Float[Tensor, "T G D"]]:
    """Gradients of query, key and value; `output` and `log_sums` are what `forward` returned."""
    query, key, value = _contiguous_heads(query), _contiguous_heads(key), _contiguous_heads(value)
    grad, output = _contiguous_heads(grad.to(query.dtype)), _contiguous_heads(output)
    dquery, delta = grad_queries(
        grad, query, key, value, output, log_sums, cu_seqlens, causal=causal, prefixes=prefixes, tiles=query_tiles
    )
    dkey, dvalue = grad_keys_values(
        grad, query, key, value, delta, log_sums, cu_seqlens, causal=causal, prefixes=prefixes, tiles=key_tiles
    )
    return dquery, dkey, dvalue


def grad_queries(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    log_sums: Tensor,
    cu_seqlens: Tensor,
    *,
    causal: bool,
    prefixes: Prefixes | None = None,
    tiles: AttentionTile | None = None,
) -> tuple[Tensor, Tensor]:
    """The gradient of `query`, and `delta`: the sum of grad x output over the width of each head."""
    tokens, heads, width = query.shape
    dquery, delta = query.new_empty(tokens, heads, width), torch.empty_like(log_sums)
    tiles = tiles or choose_tiles("queries", query, causal, prefixed=prefixes is not None)
    shape = _Shape.of(query, key, cu_seqlens, prefixes)
    grad_queries_kernel[(shape.tiles(tiles.rows // shape.group), key.shape[1])](
        grad, query, key, value, output, log_sums, delta, dquery, cu_seqlens,
        *shape.prefix_bounds, shape.segments, tokens,
        grad.stride(0), query.stride(0), key.stride(0), value.stride(0), output.stride(0), width**-0.5,
        **shape.constants, CAUSAL=causal, **tiles.keywords(),
    )  # fmt: skip
    return dquery, delta


def grad_keys_values(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    delta: Tensor,
    log_sums: Tensor,
    cu_seqlens: Tensor,
    *,
    causal: bool,
    prefixes: Prefixes | None = None,
    tiles: AttentionTile | None = None,
) -> tuple[Tensor, Tensor]:
    """Gradients of `key` and `value`; `delta` is what `grad_queries` returned."""
    tokens, groups, width = key.shape
    dkey, dvalue = key.new_empty(tokens, groups, width), value.new_empty(tokens, groups, width)
    tiles = tiles or choose_tiles("keys", query, causal, prefixed=prefixes is not None)
    shape = _Shape.of(query, key, cu_seqlens, prefixes)
    grad_keys_values_kernel[(shape.tiles(tiles.keys), groups)](
        grad, query, key, value, log_sums, delta, dkey, dvalue, cu_seqlens, shape.group_ends, shape.segments, tokens,
        grad.stride(0), query.stride(0), key.stride(0), value.stride(0), width**-0.5,
        **shape.constants, CAUSAL=causal, **tiles.keywords(),
    )  # fmt: skip
    return dkey, dvalue


def choose_tiles(part: str, query: Tensor, causal: bool, *, prefixed: bool = False) -> AttentionTile:
    """Tile sizes of a kernel; `part` is forward, queries or keys. Addresses of prefixes take registers of their own."""
    if query.dtype == torch.float32:
        return AttentionTile(32, 32, 4, 1)
    if query.shape[2] > 128:
        return _WIDEST[part]
    tiles = _TILES[part, "narrow" if query.shape[2] <= 64 else "wide", causal]
    return tiles._replace(registers=None) if prefixed else tiles


_TILES = {
    ("forward", "wide", True): AttentionTile(64, 32, 4, 2, "branch", 128),
    ("forward", "wide", False): AttentionTile(64, 64, 4, 3),
    ("forward", "narrow", True): AttentionTile(128, 64, 8, 3),
    ("forward", "narrow", False): AttentionTile(64, 64, 4, 3),
    ("queries", "wide", True): AttentionTile(64, 32, 4, 2, "masked", 168),
    ("queries", "wide", False): AttentionTile(64, 64, 4, 2),
    ("queries", "narrow", True): AttentionTile(64, 32, 4, 3),
    ("queries", "narrow", False): AttentionTile(64, 32, 4, 3),
    ("keys", "wide", True): AttentionTile(32, 64, 4, 3),
    ("keys", "wide", False): AttentionTile(32, 64, 4, 2),
    ("keys", "narrow", True): AttentionTile(32, 64, 4, 3),
    ("keys", "narrow", False): AttentionTile(32, 64, 4, 3),
}
"""The fastest tried on an H200 (`benchmarks/attention_kernels.py`), for segments of some 290 and 600 tokens."""


_WIDEST = {
    "forward": AttentionTile(64, 32, 4, 1),
    "queries": AttentionTile(64, 32, 4, 1, "masked"),
    "keys": AttentionTile(32, 32, 4, 1),
}
"""For heads of more than 128 columns: in registers without spills (compiled for an H200), in less than 100 KB."""


class _Shape(NamedTuple):
    tokens: int
    segments: int
    group: int
    prefix_bounds: tuple[Tensor, Tensor]
    group_ends: Tensor
    constants: dict[str, int]

    @classmethod
    def of(cls, query: Tensor, key: Tensor, cu_seqlens: Tensor, prefixes: Prefixes | None) -> "_Shape":
        """Without prefixes their places hold the bounds, which are not read."""
        tokens, heads, width = query.shape
        group, bounds = heads // key.shape[1], len(cu_seqlens)
        padded = max(16, triton.next_power_of_2(width))
        constants = {"HEADS": heads, "GROUP": group, "WIDTH": width, "PADDED": padded, "PREFIXED": prefixes is not None}
        starts, ends, group_ends = (
            (prefixes.starts, prefixes.ends, prefixes.group_ends) if prefixes else (cu_seqlens,) * 3
        )
        constants["BOUNDS"] = max(LEAST_BOUNDS, triton.next_power_of_2(bounds))
        return cls(tokens, bounds - 1, group, (starts, ends), group_ends, constants)

    def tiles(self, positions: int) -> int:
        """An upper bound of the tiles of all segments and of the tokens after them."""
        return self.tokens // positions + self.segments + 1


def _contiguous_heads(x: Tensor) -> Tensor:
    """x [T, H, D] with contiguous heads in each token."""
    return x if x.stride(2) == 1 and x.stride(1) == x.shape[2] else x.contiguous()
