"""The attention half of a decoder layer, forward and with an explicit backward pass, outside autograd.

# T = tokens, D = width, L = label rows, H = query heads, G = key/value heads, W = width of a head
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from texlens.kernels.attention.api import attend, triton_attention
from texlens.kernels.attention.segments import Segments
from texlens.kernels.decoder_layer.reference import Heads
from texlens.kernels.elementwise.backend import ElementwiseKernels
from texlens.kernels.lora_linear.backend import triton_lora
from texlens.kernels.lora_linear.fused_linear import FusedLinear
from texlens.kernels.lora_linear.states import LoraState


@runtime_checkable
class Mixer(Protocol):
    """What is between a layer's first and its output product, where that is not plain attention."""

    def __call__(self, y: Tensor, cos: Tensor, sin: Tensor, segments: Segments) -> Tensor:
        """From the first product [T, N] to the input of the output product [T, M], with autograd; each segment for
        itself."""
        ...

    def with_backward(
        self, y: Tensor, cos: Tensor, sin: Tensor, segments: Segments, extra_columns: tuple[int, int]
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]] | None:
        """The same by kernels outside autograd, and the function from the gradient of the result to that of y; None
        where no kernels run.

        Args:
            extra_columns: undefined ones after the result and after the gradient.
        """
        ...


@runtime_checkable
class AttentionLayer(Protocol):
    """What this half needs of a layer."""

    @property
    def qkv(self) -> FusedLinear: ...
    @property
    def out(self) -> FusedLinear: ...
    @property
    def heads(self) -> Heads | None: ...
    @property
    def mixer(self) -> Mixer | None: ...
    @property
    def first_norm(self) -> Tensor: ...
    @property
    def eps(self) -> tuple[float, float]: ...
    @property
    def kernels(self) -> ElementwiseKernels: ...


class AttentionSaved(NamedTuple):
    """Tensors saved for the backward pass, besides the input.

    `backward` gives the gradient of the first product, [T, N + extra columns], from that of `attn_out`; it holds the
    tensors that this needs.
    """

    attn_out: Tensor
    backward: Callable[[Tensor], Tensor]
    lora_a_out_qkv: LoraState | None
    lora_a_out_o: LoraState | None


def attention_forward(
    layer: AttentionLayer, x: Tensor, cos: Tensor, sin: Tensor, segments: Segments, rows: Tensor | None
) -> tuple[Tensor, Tensor, AttentionSaved]:
    """The residual stream and the attention output that is to be added to it, both [T, D] or of `rows` [L, D]."""
    y, lora_a_out_qkv = layer.qkv.forward_of_norm(layer.kernels, x, layer.first_norm, layer.eps[0])
    attn_out, backward = _mix(layer, y, cos, sin, segments)
    if rows is not None:
        attn_out, x = attn_out[rows], x[rows]
    projected, lora_a_out_o = layer.out.forward(attn_out)
    return x, projected, AttentionSaved(attn_out, backward, lora_a_out_qkv, lora_a_out_o)


def attention_backward(
    layer: AttentionLayer,
    dattn_residual: Tensor,
    x: Tensor,
    rows: Tensor | None,
    saved: AttentionSaved,
    needs_grad_x: bool,
    extra_columns: int = 0,
) -> tuple[Tensor | None, list[Tensor]]:
    """The gradient of x, or None, and those of the adapters.

    Args:
        dattn_residual: the gradient of the sum of both results of `attention_forward`, [T, D + `out.extra_columns`].
        extra_columns: the gradient of x is the left part of a tensor with so many columns more.
    """
    kernels = layer.kernels
    dattn_out, grad_lora_a_out, grad_lora_b_o = layer.out.backward(dattn_residual, saved.lora_a_out_o)
    grad_lora_a_o = layer.out.lora_a_grad(grad_lora_a_out, saved.attn_out[:, : layer.out.width])
    grads_o = layer.out.parameter_grads(grad_lora_a_o, grad_lora_b_o)
    dattn_residual = dattn_residual[:, : layer.out.height]
    if rows is not None:
        dattn_out, dattn_residual = _scatter_rows(dattn_out, rows, len(x)), _scatter_rows(dattn_residual, rows, len(x))
    dy, lora_a_out_qkv = saved.backward(dattn_out), saved.lora_a_out_qkv
    del dattn_out, saved
    if needs_grad_x:
        dnormed, grad_lora_a_out, grad_lora_b_qkv = layer.qkv.backward(dy, lora_a_out_qkv)
        norm = layer.first_norm, layer.eps[0]
        dx, grad_lora_a_qkv = norm_backward(
            layer.qkv, kernels, dnormed, x, *norm, dattn_residual, grad_lora_a_out, extra_columns
        )
        dx = dx[:, : x.shape[1]]
    else:
        grad_lora_a_out, grad_lora_b_qkv = layer.qkv.lora_b_grads(dy[:, : layer.qkv.height], lora_a_out_qkv)
        normed = kernels.rms_norm(x, layer.first_norm, layer.eps[0])
        dx, grad_lora_a_qkv = None, layer.qkv.lora_a_grad(grad_lora_a_out, normed)
    return dx, [*layer.qkv.parameter_grads(grad_lora_a_qkv, grad_lora_b_qkv), *grads_o]


def norm_backward(
    product: FusedLinear,
    kernels: ElementwiseKernels,
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    eps: float,
    residual: Tensor,
    grad_lora_a_out: Tensor | None,
    extra_columns: int,
) -> tuple[Tensor, Tensor | None]:
    """The gradient of x plus `residual`, with extra columns, and that of the LoRA A that multiplies the norm of x."""
    if grad_lora_a_out is not None and (fused := triton_lora("rms_norm_backward", x)) is not None:
        dx, scaled_grad = fused.rms_norm_backward(grad, x, weight, eps, residual, grad_lora_a_out, extra_columns)
        grad_lora_a = product.lora_a_grad(scaled_grad, x)
        return dx, None if grad_lora_a is None else grad_lora_a.mul_(weight)
    dx, normed = kernels.rms_norm_backward(grad, x, weight, eps, residual, extra_columns)
    return dx, product.lora_a_grad(grad_lora_a_out, normed)


def with_extra_columns(x: Tensor, extra_columns: int) -> Tensor:
    """x [T, D] followed by `extra_columns` columns: the tensor that x is the left part of, else a copy."""
    tokens, width = x.shape
    if not extra_columns:
        return x.contiguous()
    end = x.storage_offset() + tokens * (width + extra_columns)
    if x.stride() == (width + extra_columns, 1) and end * x.itemsize <= x.untyped_storage().nbytes():
        return x.as_strided((tokens, width + extra_columns), (width + extra_columns, 1))
    result = x.new_empty(tokens, width + extra_columns)
    result[:, :width] = x
    return result


def _scatter_rows(part: Tensor, rows: Tensor, tokens: int) -> Tensor:
    return part.new_zeros(tokens, part.shape[1]).index_copy_(0, rows, part)


def _mix(layer: AttentionLayer, y: Tensor, cos: Tensor, sin: Tensor, segments: Segments) -> tuple[Tensor, Any]:
    """From the first product [T, N] to the input of the output product, and the backward pass of that."""
    if layer.mixer is not None:
        extra_columns = layer.out.extra_columns, layer.qkv.extra_columns
        fused = layer.mixer.with_backward(y, cos, sin, segments, extra_columns)
        return fused or _mix_by_autograd(layer, layer.mixer, y, cos, sin, segments)
    assert layer.heads is not None
    kernels, heads, extra_columns = layer.kernels, layer.heads, layer.qkv.extra_columns
    query, key = kernels.split_heads_norm_rope(y, *heads[:3], _norms(heads), layer.eps[0], cos, sin)
    value = y.unflatten(-1, (-1, heads.width))[:, heads.queries + heads.keys :]
    saved_y = y if _norms(heads) else None
    if saved_y is None:
        value = value.contiguous()
    attn_out, attention_backward = attend_with_backward(
        query, key, value, segments, layer.out.extra_columns, causal=True
    )

    def backward(grad: Tensor) -> Tensor:
        dquery, dkey, dvalue = attention_backward(grad.unflatten(-1, (-1, heads.width)))
        return kernels.split_heads_norm_rope_backward(
            dquery, dkey, dvalue, saved_y, _norms(heads), layer.eps[0], cos, sin, extra_columns
        )

    return attn_out, backward


def _mix_by_autograd(layer: AttentionLayer, mixer: Mixer, y: Tensor, cos, sin, segments) -> tuple[Tensor, Any]:
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        mixed = mixer(y, cos, sin, segments)

    def backward(grad: Tensor) -> Tensor:
        return with_extra_columns(torch.autograd.grad(mixed, y, grad)[0], layer.qkv.extra_columns)

    return mixed.detach(), backward


def attend_with_backward(
    query: Tensor, key: Tensor, value: Tensor, segments: Segments, extra_columns: int, *, causal: bool
) -> tuple[Tensor, Any]:
    """The attention output, [T, H W + extra_columns] by Triton and else [T, H W], and its backward pass: gradients of
    query, key and value from that of the output, [T, H, W]."""
    if (kernels := triton_attention(query.device)) is not None:
        attn_out, log_sums = kernels.forward(
            query,
            key,
            value,
            segments.cu_seqlens,
            causal=causal,
            extra_columns=extra_columns,
            **segments.kernel_options,
        )
        saved = query, key, value, attn_out, log_sums, segments.cu_seqlens
        return with_extra_columns(attn_out.flatten(1), extra_columns), lambda grad: kernels.backward(
            grad, *saved, causal=causal, **segments.kernel_options
        )
    with torch.enable_grad():
        query, key, value = (part.detach().requires_grad_() for part in (query, key, value))
        attn_out = attend(query, key, value, segments, causal=causal)
    return attn_out.detach().flatten(1), lambda grad: torch.autograd.grad(attn_out, (query, key, value), grad)


def _norms(heads: Heads) -> tuple[Tensor, Tensor] | None:
    if heads.query_norm is None or heads.key_norm is None:
        return None
    return heads.query_norm, heads.key_norm
