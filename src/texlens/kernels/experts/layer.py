"""A decoder layer with a mixture of experts as one function with an explicit backward pass.

    out_t = r_t + sum over t's experts e of  g_te down_e(silu(gate_e(n_t)) * up_e(n_t)),   n = rms_norm(r)

plus, where there is one, the expert that all tokens share (`shared`).

The gradient of a weight g_te is <grad_t, y_te> = <down_e.T grad_t, act_te>, so that no expert's output is saved.

# T = tokens, D = width, L = label rows, K = experts of a token, S = T K pairs sorted by expert, F = width of an expert
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from texlens.kernels.attention.segments import Segments
from texlens.kernels.decoder_layer.attention_half import (
    AttentionSaved,
    Mixer,
    attention_backward,
    attention_forward,
)
from texlens.kernels.decoder_layer.reference import Heads
from texlens.kernels.dropout.mask import DropoutSeed
from texlens.kernels.elementwise.backend import ElementwiseKernels
from texlens.kernels.experts.api import expert_kernels
from texlens.kernels.experts.dispatch import Dispatch, ExpertOwners, dispatch_of
from texlens.kernels.experts.linear import ExpertProduct
from texlens.kernels.experts.routing import route, weights_backward
from texlens.kernels.experts.shared import SharedExpertLayer, SharedSaved
from texlens.kernels.lora_linear.fused_linear import FusedLinear
from texlens.kernels.lora_linear.layer_products import LayerProducts, router_probabilities
from texlens.kernels.lora_linear.states import LoraState


@dataclass(frozen=True)
class MixtureLayer(LayerProducts):
    """
    Args:
        router: [E, D], frozen.
        recompute: what the backward pass recomputes: `none` only what is cheap, `mlp` the gate and up products too,
            `full` everything from the layer's input on.
        owners: which process has which experts; None if this one has all.
        shared: the expert beside them that every token passes.
    """

    qkv: FusedLinear
    out: FusedLinear
    gate_up: ExpertProduct
    down: ExpertProduct
    router: Tensor
    top_k: int
    heads: Heads | None
    first_norm: Tensor
    second_norm: Tensor
    eps: tuple[float, float]
    kernels: ElementwiseKernels
    recompute: str = "none"
    seed: DropoutSeed | None = None
    mixer: Mixer | None = None
    owners: ExpertOwners | None = None
    shared: SharedExpertLayer | None = None

    @property
    def products(self) -> tuple[FusedLinear, ...]:
        shared = () if self.shared is None else (self.shared.gate_up, self.shared.down)
        return self.qkv, self.out, *shared

    def trained(self) -> list[Tensor]:
        return [*super().trained(), *self.gate_up.trained(), *self.down.trained()]

    def invalidate(self) -> None:
        super().invalidate()
        self.gate_up.invalidate()
        self.down.invalidate()


def mixture_layer(
    layer: MixtureLayer, x: Tensor, cos: Tensor, sin: Tensor, segments: Segments, rows: Tensor | None = None
) -> Tensor:
    """The residual stream of the next layer; of `rows` alone, [L, D], if given. cos, sin [T, W] are float32."""
    result, *probabilities = _MixtureLayer.apply(layer, x, cos, sin, segments, rows, *layer.trained())
    layer.log_probabilities(probabilities)
    return result


class _ExpertsSaved(NamedTuple):
    weights: Tensor
    experts: Tensor
    dispatch: Dispatch
    gate_up: Tensor | None
    lora_a_outs: tuple[Tensor | None, Tensor | None]


class _Saved(NamedTuple):
    attention: AttentionSaved
    attn_residual: Tensor
    experts: _ExpertsSaved
    shared: SharedSaved | None

    @property
    def lora_a_outs_down(self) -> "_LoraAOutsDown":
        return self.experts.lora_a_outs[1], None if self.shared is None else self.shared.lora_a_out_down

    def with_down(self, lora_a_outs_down: "_LoraAOutsDown") -> "_Saved":
        """With the LoRA A outputs of the down products."""
        of_experts, of_shared = lora_a_outs_down
        experts = self.experts._replace(lora_a_outs=(self.experts.lora_a_outs[0], of_experts))
        shared = None if self.shared is None else self.shared._replace(lora_a_out_down=of_shared)
        return self._replace(experts=experts, shared=shared)

    def without_gate_up(self) -> "_Saved":
        shared = None if self.shared is None else self.shared._replace(gate_up=None, lora_a_out=None)
        return self._replace(experts=self.experts._replace(gate_up=None), shared=shared)

    @property
    def lora_states(self) -> tuple[LoraState | None, ...]:
        """Of the layer's `products`."""
        shared = () if self.shared is None else self.shared[2:]
        return self.attention.lora_a_out_qkv, self.attention.lora_a_out_o, *shared


_LoraAOutsDown = tuple[Tensor | None, LoraState | None]
"""Of the experts of a token, and of the shared one."""


class _MixtureLayer(torch.autograd.Function):
    @staticmethod
    def forward(ctx, layer: MixtureLayer, x, cos, sin, segments, rows, *trained):
        result, saved = _forward(layer, x, cos, sin, segments, rows)
        probabilities = router_probabilities(saved.lora_states)
        lora_a_outs_down = saved.lora_a_outs_down
        if layer.recompute == "full":
            saved = None
        elif layer.recompute == "mlp":
            saved = saved.without_gate_up()
        ctx.layer, ctx.x, ctx.saved, ctx.lora_a_outs_down = layer, x, saved, lora_a_outs_down
        ctx.inputs, ctx.seed = (cos, sin, segments, rows), None if layer.seed is None else layer.seed.value
        ctx.set_materialize_grads(False)
        return result, *probabilities

    @staticmethod
    def backward(ctx, grad, *grad_probabilities):  # pyrefly: ignore[bad-override]
        layer, x, saved, (cos, sin, segments, rows) = ctx.layer, ctx.x, ctx.saved, ctx.inputs
        lora_a_outs_down = ctx.lora_a_outs_down
        ctx.x = ctx.saved = ctx.inputs = ctx.lora_a_outs_down = None
        layer.set_grad_probabilities(grad_probabilities)
        with layer.seed.replaced_by(ctx.seed) if layer.seed else nullcontext():
            if saved is None:
                saved = _forward_to_gate_up(layer, x, cos, sin, segments, rows).with_down(lora_a_outs_down)
            dattn_residual, grads_mlp = _mlp_backward(layer, grad, saved)
            attention, saved = saved.attention, None
            dx, grads = attention_backward(layer, dattn_residual, x, rows, attention, ctx.needs_input_grad[1])
        return None, dx, None, None, None, None, *grads, *grads_mlp


def _forward(layer: MixtureLayer, x, cos, sin, segments: Segments, rows) -> tuple[Tensor, _Saved]:
    saved = _forward_to_gate_up(layer, x, cos, sin, segments, rows)
    weights, _, dispatch, gate_up, _ = saved.experts
    assert gate_up is not None
    act = expert_kernels(x).swiglu(gate_up, layer.down.extra_columns)
    y, lora_a_out_down = layer.down.forward(act, dispatch.ends)
    residual, shared_lora_a_out_down = saved.attn_residual, None
    if layer.shared is not None and saved.shared is not None:
        residual, shared_lora_a_out_down = layer.shared.add_output(layer.kernels, saved.shared, residual)
    return dispatch.combine(y, weights, residual), saved.with_down((lora_a_out_down, shared_lora_a_out_down))


def _forward_to_gate_up(layer: MixtureLayer, x, cos, sin, segments: Segments, rows) -> _Saved:
    """The layer up to the gate/up products, without the LoRA A outputs of the down products."""
    x, projected, attention = attention_forward(layer, x, cos, sin, segments, rows)
    attn_residual, normed = layer.kernels.add_rms_norm(x, projected, layer.second_norm, layer.eps[1])
    weights, routing = route(normed, layer.router, layer.top_k)
    dispatch = dispatch_of(routing, layer.owners)
    gate_up, lora_a_out = _gate_up(layer, normed, dispatch)
    experts = _ExpertsSaved(weights, routing.experts, dispatch, gate_up, (lora_a_out, None))
    shared = None if layer.shared is None else layer.shared.first_product(normed)
    return _Saved(attention, attn_residual, experts, shared)


def _gate_up(layer: MixtureLayer, normed: Tensor, dispatch: Dispatch) -> tuple[Tensor, Tensor | None]:
    return layer.gate_up.forward(dispatch.gather(normed, layer.gate_up.extra_columns), dispatch.ends)


def _mlp_backward(layer: MixtureLayer, grad: Tensor, saved: _Saved) -> tuple[Tensor, list[Tensor]]:
    """The gradient of the residual stream after attention, with extra columns, and those of the adapters."""
    normed = layer.kernels.rms_norm(saved.attn_residual, layer.second_norm, layer.eps[1])
    dnormed, grads_shared = None, []
    if layer.shared is not None and saved.shared is not None:
        dnormed, grads_shared = layer.shared.backward(layer.kernels, grad, normed, saved.shared)
    dnormed, grads_experts = _experts_backward(layer, grad, normed, saved.experts, dnormed)
    dattn_residual, _ = layer.kernels.rms_norm_backward(
        dnormed, saved.attn_residual, layer.second_norm, layer.eps[1], grad, layer.out.extra_columns
    )
    return dattn_residual, grads_shared + grads_experts


def _experts_backward(
    layer: MixtureLayer, grad: Tensor, normed: Tensor, saved: _ExpertsSaved, dnormed: Tensor | None
) -> tuple[Tensor, list[Tensor]]:
    """The gradient of the norm, plus `dnormed`, and those of the adapters."""
    kernels, dispatch = expert_kernels(grad), saved.dispatch
    ends, (lora_a_out, lora_a_out_down) = dispatch.ends, saved.lora_a_outs
    gate_up = saved.gate_up if saved.gate_up is not None else _gate_up(layer, normed, dispatch)[0]
    grad_pairs = dispatch.gather(grad, layer.down.extra_columns)
    dact, grad_lora_a_out_down = layer.down.backward(grad_pairs, ends)
    pair_weights = dispatch.pair_weights(saved.weights)
    dgate_up, act, grad_pair_weights = kernels.swiglu_backward(dact, gate_up, pair_weights, layer.gate_up.extra_columns)
    del gate_up, dact
    # The weight of a pair is at its activation instead of its gradient: the sums over pairs are the same.
    weighted_out = (
        None if lora_a_out_down is None else lora_a_out_down * pair_weights[:, None].to(lora_a_out_down.dtype)
    )
    grads_down = layer.down.parameter_grads(
        grad_pairs[:, : layer.down.height], weighted_out, grad_lora_a_out_down, act, ends
    )
    del grad_pairs, act
    dx_pairs, grad_lora_a_out = layer.gate_up.backward(dgate_up, ends)
    grads_gate_up = _gate_up_grads(layer, normed, dispatch, dgate_up, lora_a_out, grad_lora_a_out)
    del dgate_up
    grad_weights = dispatch.weight_grads(grad_pair_weights)
    through_weights = weights_backward(grad_weights, normed, layer.router, saved.experts)
    if dnormed is not None:
        through_weights += dnormed
    return dispatch.combine(dx_pairs, None, through_weights), grads_gate_up + grads_down


def _gate_up_grads(
    layer: MixtureLayer, normed: Tensor, dispatch: Dispatch, dgate_up: Tensor, lora_a_out, grad_lora_a_out
) -> list[Tensor]:
    if lora_a_out is None:
        return []
    x, rows = dispatch.gather(normed), dgate_up[:, : layer.gate_up.height]
    return layer.gate_up.parameter_grads(rows, lora_a_out, grad_lora_a_out, x, dispatch.ends)
