"""A whole decoder layer as one function, with its backward pass written out.

A product of a frozen weight and its LoRA runs as one matrix product over a bordered weight and bordered rows:

    [x, x @ down.T] @ [weight, up].T  =  x @ (weight + up @ down).T            forward
    [slope, slope @ up] @ [weight; down]  =  slope @ (weight + up @ down)      backward

so that results are never read again to add the adapters' share. What is cheap to make again (normalised inputs, the
activation) is not kept. The plain form, its twin, stands in `fused`. LoRA: Hu et al. 2021, arXiv:2106.09685.

# T = tokens, D = width in, N = width out, R = adapter ranks side by side, rounded up
# H = heads, G = key/value heads, W = width of a head
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from texlens.kernels.attention import Segments, attend
from texlens.kernels.fused import Heads


class Product(Protocol):
    """A frozen weight [N, D] with its bias and adapters."""

    bias: Tensor | None

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def border(self) -> int: ...

    def whole(self) -> Tensor:
        """[N + R, D + R]: the weight, `up` with its scale at its right, `down` below it.

        Valid until another product's is asked for.
        """
        ...

    def trained(self) -> tuple[Tensor, ...]:
        """The adapters' parameters."""
        ...

    def slopes(self, down: Tensor | None, up: Tensor | None) -> list[Tensor]:
        """Those of `trained`, from the slopes of all of `down` [R, D] and `up` [N, R]."""
        ...


@dataclass(frozen=True)
class Layer:
    """What a layer is made of.

    Args:
        kernels: the module with its elementwise parts, `triton_passes` or `cpu_passes`.
        recompute: what the backward pass makes again: `none` only what is cheap, `mlp` the gate and up products too,
            `full` everything from the layer's input on.
    """

    qkv: Product
    out: Product
    gate_up: Product
    down: Product
    heads: Heads
    first_norm: Tensor
    second_norm: Tensor
    eps: tuple[float, float]
    kernels: ModuleType
    recompute: str = "none"

    @property
    def products(self) -> tuple[Product, ...]:
        return self.qkv, self.out, self.gate_up, self.down


def decoder_layer(
    layer: Layer, x: Tensor, cos: Tensor, sin: Tensor, where: Segments, rows: Tensor | None = None
) -> Tensor:
    """The next layer's residual stream [T, D] from x [T, D]; of `rows` alone, [L, D], if given (for the last layer).

    cos, sin are [T, W] in float32.
    """
    trained = [parameter for product in layer.products for parameter in product.trained()]
    return _DecoderLayer.apply(layer, x, cos, sin, where, rows, *trained)


class _Kept(NamedTuple):
    """What the backward pass takes from the forward pass, the input aside."""

    y: Tensor
    query: Tensor
    key: Tensor
    value: Tensor
    mixed: Tensor
    back: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
    middle: Tensor
    wide: Tensor | None
    thins: tuple[Tensor | None, ...]


class _DecoderLayer(torch.autograd.Function):
    @staticmethod
    def forward(ctx, layer: Layer, x, cos, sin, where, rows, *trained):
        kept = _to_wide(layer, x, cos, sin, where, rows)
        act = layer.kernels.swiglu(kept.wide, layer.down.border)
        y, thin = forward(layer.down, act)
        result = y.add_(kept.middle)
        if layer.recompute == "full":
            kept = None
        elif layer.recompute == "mlp":
            kept = kept._replace(wide=None, thins=(*kept.thins[:2], None))
        ctx.layer, ctx.x, ctx.kept, ctx.thin, ctx.rest = layer, x, kept, thin, (cos, sin, where, rows)
        return result

    @staticmethod
    def backward(ctx, slope):  # pyrefly: ignore[bad-override]
        layer, x, kept, thin, (cos, sin, where, rows) = ctx.layer, ctx.x, ctx.kept, ctx.thin, ctx.rest
        ctx.x = ctx.kept = ctx.thin = ctx.rest = None
        if kept is None:
            kept = _to_wide(layer, x, cos, sin, where, rows)
        dx, slopes = _back(layer, slope, x, cos, sin, rows, kept, thin, ctx.needs_input_grad[1])
        return None, dx, None, None, None, None, *slopes


def _to_wide(layer: Layer, x, cos, sin, where: Segments, rows) -> _Kept:
    """The layer up to the gate and up products."""
    kernels, heads = layer.kernels, layer.heads
    y, thin_qkv = forward(layer.qkv, kernels.rms_norm(x, layer.first_norm, layer.eps[0], layer.qkv.border))
    query, key = kernels.into_heads(y, *heads[:3], _norms(heads), layer.eps[0], cos, sin)
    value = y.unflatten(-1, (-1, heads.width))[:, heads.queries + heads.keys :]
    if not _norms(heads):
        y = value = value.contiguous()
    mixed, back = _attend(query, key, value, where)
    mixed = mixed.flatten(1)
    if rows is not None:
        mixed, x = mixed[rows], x[rows]
    added, thin_out = _forward_beside(layer.out, mixed)
    middle, normed = kernels.add_rms_norm(x, added, layer.second_norm, layer.eps[1], layer.gate_up.border)
    wide, thin_wide = forward(layer.gate_up, normed)
    return _Kept(y, query, key, value, mixed, back, middle, wide, (thin_qkv, thin_out, thin_wide))


def _back(layer: Layer, slope, x, cos, sin, rows, kept: _Kept, thin_down, wants_x: bool):
    """The slope of x, or None, and those of the adapters."""
    kernels, middle, wide, (thin_qkv, thin_out, thin_wide) = layer.kernels, kept.middle, kept.wide, kept.thins
    if wide is None:
        normed = kernels.rms_norm(middle, layer.second_norm, layer.eps[1], layer.gate_up.border)
        wide, thin_wide = forward(layer.gate_up, normed)
    dact, dthin, dup_down = backward(layer.down, bordered(slope, layer.down.border), thin_down)
    dwide, act = kernels.swiglu_back(dact, wide, layer.gate_up.border)
    del wide, dact
    kept = kept._replace(wide=None)
    ddown = layer.down.slopes(_down_slope(dthin, act), dup_down)
    del act
    dnormed, dthin, dup_wide = backward(layer.gate_up, dwide, thin_wide)
    del dwide
    dmiddle, normed = kernels.rms_norm_back(dnormed, middle, layer.second_norm, layer.eps[1], slope, layer.out.border)
    dwide_adapters = layer.gate_up.slopes(_down_slope(dthin, normed), dup_wide)
    del dnormed, normed
    dmixed, dthin, dup_out = backward(layer.out, dmiddle, thin_out)
    dout = layer.out.slopes(_down_slope(dthin, kept.mixed), dup_out)
    dmiddle = dmiddle[:, : layer.out.height]
    if rows is not None:
        dmixed, dmiddle = _among_all(dmixed, rows, len(x)), _among_all(dmiddle, rows, len(x))
    heads = layer.heads
    dquery, dkey, dvalue = kept.back(dmixed.unflatten(-1, (-1, heads.width)))
    y = kept.y if _norms(heads) else None
    dy = kernels.into_heads_back(dquery, dkey, dvalue, y, _norms(heads), layer.eps[0], cos, sin, layer.qkv.border)
    del dquery, dkey, dvalue, y, dmixed, kept
    if wants_x:
        dnormed, dthin, dup_qkv = backward(layer.qkv, dy, thin_qkv)
        dx, normed = kernels.rms_norm_back(dnormed, x, layer.first_norm, layer.eps[0], dmiddle, layer.down.border)
        dx = dx[:, : x.shape[1]]
    else:
        dthin, dup_qkv = _thin_slopes(layer.qkv, dy[:, : layer.qkv.height], thin_qkv)
        dx, normed = None, kernels.rms_norm(x, layer.first_norm, layer.eps[0])
    dqkv = layer.qkv.slopes(_down_slope(dthin, normed), dup_qkv)
    return dx, [*dqkv, *dout, *dwide_adapters, *ddown]


def forward(product: Product, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """x @ (weight + up @ down).T + bias [T, N], and x @ down.T [T, R]; x is [T, D + R], its border filled here."""
    whole, thin = product.whole(), None
    if product.border:
        thin = torch.mm(x[:, : product.width], whole[product.height :, : product.width].T)
        x[:, product.width :] = thin
    weight = whole[: product.height]
    y = torch.mm(x, weight.T) if product.bias is None else torch.addmm(product.bias, x, weight.T)
    return y, thin


def backward(product: Product, slope: Tensor, thin: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Slopes of x [T, D], of `thin` [T, R] and of `up` [N, R], from slope [T, N + R], whose border is filled here."""
    dthin, dup = _thin_slopes(product, slope[:, : product.height], thin)
    if dthin is not None:
        slope[:, product.height :] = dthin
    return torch.mm(slope, product.whole()[:, : product.width]), dthin, dup


def bordered(x: Tensor, border: int) -> Tensor:
    """x [T, D] with room for `border` columns beside it: the tensor that x is the left part of, else a copy."""
    tokens, width = x.shape
    if not border:
        return x.contiguous()
    room = x.storage_offset() + tokens * (width + border)
    if x.stride() == (width + border, 1) and room * x.itemsize <= x.untyped_storage().nbytes():
        return x.as_strided((tokens, width + border), (width + border, 1))
    whole = x.new_empty(tokens, width + border)
    whole[:, :width] = x
    return whole


def _forward_beside(product: Product, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """`forward` of rows without a border."""
    whole = product.whole()
    weight = whole[: product.height, : product.width]
    y = torch.mm(x, weight.T) if product.bias is None else torch.addmm(product.bias, x, weight.T)
    if not product.border:
        return y, None
    thin = torch.mm(x, whole[product.height :, : product.width].T)
    return y.addmm_(thin, whole[: product.height, product.width :].T), thin


def _thin_slopes(product: Product, slope: Tensor, thin: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    if thin is None:
        return None, None
    up = product.whole()[: product.height, product.width :]
    return torch.mm(slope, up), torch.mm(slope.T, thin)


def _among_all(part: Tensor, rows: Tensor, tokens: int) -> Tensor:
    return part.new_zeros(tokens, part.shape[1]).index_copy_(0, rows, part)


def _down_slope(dthin: Tensor | None, x: Tensor) -> Tensor | None:
    return None if dthin is None else torch.mm(dthin.T, x)


def _attend(query: Tensor, key: Tensor, value: Tensor, where: Segments) -> tuple[Tensor, Any]:
    """What attention mixes, and its backward pass: the slopes of query, key and value from that of the result."""
    with torch.enable_grad():
        query, key, value = (part.detach().requires_grad_() for part in (query, key, value))
        mixed = attend(query, key, value, where, causal=True)
    return mixed.detach(), lambda slope: torch.autograd.grad(mixed, (query, key, value), slope)


def _norms(heads: Heads) -> tuple[Tensor, Tensor] | None:
    if heads.query_norm is None or heads.key_norm is None:
        return None
    return heads.query_norm, heads.key_norm
