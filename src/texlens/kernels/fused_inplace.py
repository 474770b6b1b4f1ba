"""The four passes of the fused layers with adapters added in place, and the rest by the kernels of one device.

The same signatures and numbers as the plain passes of `fused`, which are their twins.
"""

from types import ModuleType

import torch
from torch import Tensor

from texlens.kernels.fused import Adapted, Heads


class InPlace:
    """`kernels` is the module `triton_passes` or `cpu_passes`."""

    def __init__(self, kernels: ModuleType):
        self.kernels = kernels

    def into_heads(self, x, norm, eps: float, qkv: Adapted, heads: Heads, cos, sin):
        y, thin = product(self.kernels.rms_norm(x, norm, eps), qkv)
        query, key = self.kernels.into_heads(y, *heads[:3], _norms(heads), eps, cos, sin)
        value = y.unflatten(-1, (-1, heads.width))[:, heads.queries + heads.keys :]
        return query, key, value, y, thin

    def into_heads_back(
        self, dquery, dkey, dvalue, x, y, thin, norm, eps: float, qkv: Adapted, heads: Heads, cos, sin, wants_x
    ):
        dy = self.kernels.into_heads_back(dquery, dkey, dvalue, y, _norms(heads), eps, cos, sin)
        dthin, dup = _thin_back(dy, thin, qkv)
        if wants_x:
            dx, normed = self.kernels.rms_norm_back(_input_back(dy, dthin, qkv), x, norm, eps, None)
        else:
            dx, normed = None, self.kernels.rms_norm(x, norm, eps)
        return dx, _down_back(dthin, normed), dup

    def after_attention(self, mixed, x, norm, eps: float, out: Adapted, gate_up: Adapted, down: Adapted):
        y, thin_out = product(mixed, out)
        middle, normed = self.kernels.add_rms_norm(x, y, norm, eps)
        wide, thin_wide = product(normed, gate_up)
        y, thin_down = product(self.kernels.swiglu(wide), down)
        return y.add_(middle), middle, wide, thin_out, thin_wide, thin_down

    def after_attention_back(
        self, slope, mixed, middle, wide, thins, norm, eps: float, out: Adapted, gate_up: Adapted, down: Adapted
    ):
        thin_out, thin_wide, thin_down = thins
        slope = slope.contiguous()
        if wide is None:
            wide, thin_wide = product(self.kernels.rms_norm(middle, norm, eps), gate_up)
        dthin, ddown_u = _thin_back(slope, thin_down, down)
        dwide, act = self.kernels.swiglu_back(_input_back(slope, dthin, down), wide)
        ddown_d = _down_back(dthin, act)
        del act
        dthin, dgate_u = _thin_back(dwide, thin_wide, gate_up)
        dmiddle, normed = self.kernels.rms_norm_back(_input_back(dwide, dthin, gate_up), middle, norm, eps, slope)
        dgate_d = _down_back(dthin, normed)
        dthin, dout_u = _thin_back(dmiddle, thin_out, out)
        dmixed = _input_back(dmiddle, dthin, out)
        return dmixed, dmiddle, (_down_back(dthin, mixed), dout_u), (dgate_d, dgate_u), (ddown_d, ddown_u)


def product(x: Tensor, layer: Adapted) -> tuple[Tensor, Tensor | None]:
    """x @ (weight + up @ down).T + bias, the update added in place, and x @ down.T."""
    y = torch.mm(x, layer.weight.T) if layer.bias is None else torch.addmm(layer.bias, x, layer.weight.T)
    if layer.down is None or layer.up is None:
        return y, None
    thin = torch.mm(x, layer.down.T)
    return y.addmm_(thin, layer.up.T), thin


def _input_back(slope: Tensor, dthin: Tensor | None, layer: Adapted) -> Tensor:
    dx = torch.mm(slope, layer.weight)
    return dx if dthin is None or layer.down is None else dx.addmm_(dthin, layer.down)


def _thin_back(slope: Tensor, thin: Tensor | None, layer: Adapted) -> tuple[Tensor | None, Tensor | None]:
    if thin is None or layer.up is None:
        return None, None
    return torch.mm(slope, layer.up), torch.mm(slope.T, thin)


def _down_back(dthin: Tensor | None, x: Tensor) -> Tensor | None:
    return None if dthin is None else torch.mm(dthin.T, x)


def _norms(heads: Heads) -> tuple[Tensor, Tensor] | None:
    if heads.query_norm is None or heads.key_norm is None:
        return None
    return heads.query_norm, heads.key_norm
