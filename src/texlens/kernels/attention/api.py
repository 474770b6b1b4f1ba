"""Attention within segments: several samples (or images) are in one sequence and none attends to another.

# T = tokens, H = query heads, G = key/value heads, D = width of a head
"""

import inspect
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from texlens.kernels.attention.prefixes import Prefixes
from texlens.kernels.attention.segments import Segments
from texlens.kernels.backends import Registry, runs_triton

try:
    from torch.nn.attention import varlen
except ImportError:  # torch before 2.10
    varlen = None


@runtime_checkable
class AttentionKernels(Protocol):
    """Forward and backward pass of attention, without autograd."""

    def forward(
        self,
        query: Float[Tensor, "T H D"],
        key: Float[Tensor, "T G D"],
        value: Float[Tensor, "T G D"],
        cu_seqlens: Int[Tensor, " bounds"],
        *,
        causal: bool,
        extra_columns: int = 0,
        prefixes: Prefixes | None = None,
    ) -> tuple[Float[Tensor, "T H D"], Float[Tensor, "G T H//G"]]:
        """The attention output, and log2 of the sum of exp(score) over the keys of each row.

        The output is the left part of a tensor [T, H D + extra_columns], whose other columns are not written. With
        `prefixes`, of the same bounds and causal, segments attend to their prefixes too.
        """
        ...

    def backward(
        self,
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
    ) -> tuple[Float[Tensor, "T H D"], Float[Tensor, "T G D"], Float[Tensor, "T G D"]]:
        """Gradients of query, key and value; `output` and `log_sums` are what `forward` returned."""
        ...


def _triton() -> AttentionKernels:
    from texlens.kernels.attention import triton

    return triton


BACKENDS: Registry[AttentionKernels] = Registry(triton=_triton)


def triton_attention(device: torch.device, triton: bool | None = None) -> AttentionKernels | None:
    """Our Triton kernels where they are enabled and run; `triton` as in `attend`."""
    return BACKENDS["triton"] if runs_triton(device, triton) else None


def attend(
    query: Float[Tensor, "T H D"],
    key: Float[Tensor, "T G D"],
    value: Float[Tensor, "T G D"],
    segments: Segments,
    *,
    causal: bool,
    triton: bool | None = None,
) -> Float[Tensor, "T H D"]:
    """softmax(q k / sqrt(D)) v within each segment, with autograd.

    On a GPU our Triton kernels, where they run and `triton` (None: `backends.TRITON_ENABLED`) allows it, else torch's
    varlen attention in one launch, which takes 16 bits; on a CPU, and in 32 bits without Triton, segments padded side
    by side through `scaled_dot_product_attention`, with zeros for tokens after the last segment.
    Segments with prefixes are padded on a GPU without Triton too.

    Raises:
        ValueError: prefixes without `causal`.
    """
    if segments.prefixes is not None and not causal:
        raise ValueError("segments that share a prefix attend causally")
    if (kernels := triton_attention(query.device, triton)) is not None:
        return _Attend.apply(kernels, query, key, value, segments, causal)
    if segments.prefixes is not None:
        return _attend_branches(query, key, value, segments.prefixes)
    if segments.padded_index is None and query.itemsize == 2:
        assert varlen is not None
        options: dict[str, Any] = (CAUSAL if causal else {}) | (GROUPED if query.shape[1] != key.shape[1] else {})
        bounds, longest = segments.cu_seqlens, segments.max_seqlen
        output = varlen.varlen_attn(query, key, value, bounds, bounds, longest, longest, **options)
        assert isinstance(output, Tensor)
        return output
    return _attend_padded(query, key, value, segments.padded(), causal=causal)


def _attend_padded(query: Tensor, key: Tensor, value: Tensor, segments: Segments, *, causal: bool) -> Tensor:
    assert segments.is_token is not None
    assert segments.token_index is not None
    padded = [tensor[segments.padded_index].transpose(1, 2) for tensor in (query, key, value)]
    mask = None if causal else segments.is_token[:, None, None]
    output = functional.scaled_dot_product_attention(
        *padded, attn_mask=mask, is_causal=causal, enable_gqa=query.shape[1] != key.shape[1]
    )
    tokens = output.transpose(1, 2).flatten(0, 1)[segments.token_index]
    behind = len(query) - len(tokens)
    return functional.pad(tokens, (0, 0, 0, 0, 0, behind)) if behind else tokens


def _attend_branches(query: Tensor, key: Tensor, value: Tensor, prefixes: Prefixes) -> Tensor:
    padded = prefixes.padded
    rows = (
        _filled(query, padded.query_index, padded.is_query),
        _filled(key, padded.key_index, padded.is_key),
        _filled(value, padded.key_index, padded.is_key),
    )
    output = functional.scaled_dot_product_attention(
        *rows, attn_mask=padded.mask, enable_gqa=query.shape[1] != key.shape[1]
    )
    return output.transpose(1, 2).flatten(0, 1)[padded.token_index]


def _filled(x: Tensor, index: Tensor, is_token: Tensor) -> Tensor:
    """[S, heads, places, D] with zeros where there is no token, so that other segments' numbers are in no product."""
    rows = x[index]
    return torch.where(is_token[..., None, None], rows, torch.zeros_like(rows)).transpose(1, 2)


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx, kernels, query, key, value, segments, causal):
        output, log_sums = kernels.forward(
            query, key, value, segments.cu_seqlens, causal=causal, **segments.kernel_options
        )
        ctx.save_for_backward(query, key, value, output, log_sums)
        ctx.kernels, ctx.segments, ctx.causal = kernels, segments, causal
        return output

    @staticmethod
    def backward(ctx, grad):  # pyrefly: ignore[bad-override]
        options = ctx.segments.kernel_options
        grads = ctx.kernels.backward(grad, *ctx.saved_tensors, ctx.segments.cu_seqlens, causal=ctx.causal, **options)
        return None, *grads, None, None


def attention_unsupported_reason(device: torch.device) -> str | None:
    """Why packed attention can't run on a device, or None."""
    if device.type != "cuda":
        return None
    if varlen is None:
        return f"torch {torch.__version__} has no varlen attention; install 2.11 or newer"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return f"{torch.cuda.get_device_name(device)} is older than Ampere, which varlen attention needs"
    return None


_VARLEN_PARAMETERS = inspect.signature(varlen.varlen_attn).parameters if varlen is not None else {}
CAUSAL: dict[str, Any] = {"window_size": (-1, 0)} if "window_size" in _VARLEN_PARAMETERS else {"is_causal": True}
GROUPED: dict[str, Any] = {"enable_gqa": True} if "enable_gqa" in _VARLEN_PARAMETERS else {}
"""Arguments of varlen attention for the causal form and for grouped heads; names differ by torch version."""
