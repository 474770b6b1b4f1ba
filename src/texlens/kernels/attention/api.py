"""Attention within segments: several samples (or images) lie end to end in one sequence and none sees another.

# T = tokens, H = heads, G = key/value heads, D = width of a head, S = segments, M = the longest segment
"""

import functools
import importlib
import importlib.util
import inspect
import os
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

try:
    from torch.nn.attention import varlen
except ImportError:  # torch before 2.10
    varlen = None

OWN_KERNELS = True
"""Whether `attend` takes our Triton kernels before torch's varlen attention, where they can run."""

_SMALLEST_LONGEST = 512


@dataclass(frozen=True)
class Segments:
    """Bounds of the segments of a sequence of `length` tokens, in the forms that `attend` needs.

    `ends` is int32 [S + 1], from 0 to `length`. `longest` is an upper bound of a segment's length.
    `slots` and `places` lead from the sequence to rows padded to `longest` and back; a GPU has no use for them.
    """

    ends: Tensor
    longest: int
    slots: Tensor | None = None
    places: Tensor | None = None
    filled: Tensor | None = None


def segments(ends: Tensor, longest: int) -> Segments:
    """
    Args:
        ends: int32 [S + 1], ascending from 0; empty segments may stand at its end.
        longest: of the longest segment, the length; on a GPU it is rounded up to a power of two, since too small a
            value silently ruins gradients and each new value may mean a new plan of the kernel.
    """
    if ends.is_cuda:
        return Segments(ends, max(_SMALLEST_LONGEST, 1 << (longest - 1).bit_length()))
    starts, lengths = ends[:-1].long(), (ends[1:] - ends[:-1]).long()
    steps = torch.arange(longest)
    filled = steps < lengths[:, None]
    slots = (starts[:, None] + steps).clamp(max=max(int(ends[-1]) - 1, 0))
    return Segments(ends, longest, slots, filled.flatten().nonzero()[:, 0], filled)


def attend(
    query: Tensor, key: Tensor, value: Tensor, where: Segments, *, causal: bool, own: bool | None = None
) -> Tensor:
    """softmax(q k / sqrt(D)) v within each segment: query [T, H, D], key and value [T, G, D] to [T, H, D].

    On a GPU our own kernels where `own` (None: `OWN_KERNELS`) says so and they run, or else one launch of torch's
    varlen attention; on a CPU segments padded side by side through `scaled_dot_product_attention`.
    `attend_plainly` is the same in the simplest form.
    """
    if (kernels := own_kernels(query.device, own)) is not None:
        return _Attend.apply(kernels, query, key, value, where, causal)
    if where.slots is None or where.filled is None:
        assert varlen is not None
        extra: dict[str, Any] = (CAUSAL if causal else {}) | (GROUPED if query.shape[1] != key.shape[1] else {})
        mixed = varlen.varlen_attn(query, key, value, where.ends, where.ends, where.longest, where.longest, **extra)
        assert isinstance(mixed, Tensor)
        return mixed
    rows = [tensor[where.slots].transpose(1, 2) for tensor in (query, key, value)]
    mask = None if causal else where.filled[:, None, None]
    mixed = functional.scaled_dot_product_attention(
        *rows, attn_mask=mask, is_causal=causal, enable_gqa=query.shape[1] != key.shape[1]
    )
    return mixed.transpose(1, 2).flatten(0, 1)[where.places]


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx, kernels, query, key, value, where, causal):
        mixed, sums = kernels.forward(query, key, value, where.ends, causal=causal)
        ctx.save_for_backward(query, key, value, mixed, sums)
        ctx.kernels, ctx.where, ctx.causal = kernels, where, causal
        return mixed

    @staticmethod
    def backward(ctx, slope):  # pyrefly: ignore[bad-override]
        slopes = ctx.kernels.backward(slope, *ctx.saved_tensors, ctx.where.ends, causal=ctx.causal)
        return None, *slopes, None, None


def use_own_kernels(wanted: bool) -> None:
    """From now on, in this process; without them a run needs no compiler."""
    global OWN_KERNELS
    OWN_KERNELS = wanted


def own_kernels(device: torch.device, own: bool | None = None) -> Any:
    """The module of our Triton kernels where they are wanted and run: on a GPU with Triton, or anywhere in Triton's
    interpreter; else None. `own` as `attend` has it."""
    return _kernels_for(device.type) if (OWN_KERNELS if own is None else own) else None


@functools.cache
def _kernels_for(kind: str) -> Any:
    if importlib.util.find_spec("triton") is None or (kind != "cuda" and os.environ.get("TRITON_INTERPRET") != "1"):
        return None
    return importlib.import_module("texlens.kernels.attention.triton")


def attend_plainly(query: Tensor, key: Tensor, value: Tensor, ends: Tensor, *, causal: bool) -> Tensor:
    """`attend` one segment after another, for comparison."""
    group = query.shape[1] // key.shape[1]
    key, value = (tensor.repeat_interleave(group, 1) for tensor in (key, value))
    mixed = []
    for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        scores = torch.einsum("qhd,khd->hqk", query[start:end], key[start:end]) * query.shape[-1] ** -0.5
        if causal:
            scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), float("-inf"))
        mixed.append(torch.einsum("hqk,khd->qhd", scores.float().softmax(-1).to(value.dtype), value[start:end]))
    return torch.cat(mixed)


def why_not_on(device: torch.device) -> str | None:
    """What keeps packed attention from running on a device, or None."""
    if device.type != "cuda":
        return None
    if varlen is None:
        return f"torch {torch.__version__} has no varlen attention; install 2.11 or newer"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return f"{torch.cuda.get_device_name(device)} is older than Ampere, which varlen attention needs"
    return None


_VARLEN_TAKES = inspect.signature(varlen.varlen_attn).parameters if varlen is not None else {}
CAUSAL: dict[str, Any] = {"window_size": (-1, 0)} if "window_size" in _VARLEN_TAKES else {"is_causal": True}
GROUPED: dict[str, Any] = {"enable_gqa": True} if "enable_gqa" in _VARLEN_TAKES else {}
"""What varlen attention must be told for the causal form and for grouped heads, which differs by torch's version."""
