"""A delta net by kernels over segments that share a prefix: the segments without one first, the branches after them.

A branch begins in its prefix's last state, and its first convolutions read the prefix's last tokens; the gradients of
both are sums over a prefix's branches, in float32. The reference is `models.packed.mixers.DeltaNet` under autograd.

# T = tokens, C = channels of the convolution, W = its width, H = value heads, B = branches
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from texlens.kernels.attention.prefixes import BranchBorders, Prefixes
from texlens.kernels.causal_conv.branches import border_results
from texlens.kernels.delta_net import triton_parts as parts
from texlens.kernels.delta_net.weights import DeltaNetWeights
from texlens.kernels.delta_rule import triton as delta_rule


def branched_delta_net(
    weights: DeltaNetWeights, y: Tensor, prefixes: Prefixes, offsets: Tensor, *, extra_columns: tuple[int, int] = (0, 0)
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """See `api.DeltaNetKernels.branched_delta_net`."""
    passes, borders = prefixes.passes, prefixes.borders(weights.kernel.shape[1] - 1)
    mixed_in, gate, beta_in, decay_in = weights.columns(y)
    mixed = parts.causal_conv(mixed_in, weights.kernel, offsets)
    if len(borders.first):
        of_borders = border_results(mixed_in[borders.windows], borders.exists, weights.kernel).flatten(0, 1)
        mixed.index_copy_(0, borders.first, of_borders[borders.places].to(mixed.dtype))
    log_decay, beta = parts.rates(weights, beta_in, decay_in)
    output = y.new_zeros(len(y), weights.value_heads, weights.value_width)
    roots = _Pass(weights, passes.roots, passes.root_bounds)
    states, saved_roots = roots.forward(mixed, log_decay, beta, output, None)
    branches = _Pass(weights, passes.branches, passes.branch_bounds)
    _, saved_branches = branches.forward(mixed, log_decay, beta, output, states[passes.root_of])
    result = parts.gated_norm(weights, output, gate, extra_columns[0])

    def backward(grad: Tensor) -> Tensor:
        of_y = y.new_zeros(len(y), weights.width + extra_columns[1])
        of_mixed_in, of_gate, of_beta, of_decay = weights.columns(of_y)
        of_output = parts.gated_norm_backward(weights, grad, output, gate, of_gate)
        of_mixed, of_rates = torch.zeros_like(mixed), torch.zeros(2, *beta.shape, device=y.device)
        of_states = torch.zeros_like(states)
        of_initial = branches.backward(of_output, None, mixed, beta, saved_branches, of_mixed, of_rates)
        of_states.index_add_(0, passes.root_of, of_initial)
        roots.backward(of_output, of_states, mixed, beta, saved_roots, of_mixed, of_rates)
        parts.rates_backward(weights, of_rates[0], of_rates[1], beta, decay_in, of_beta, of_decay)
        of_first = of_mixed[borders.first]
        of_mixed.index_fill_(0, borders.first, 0)
        parts.causal_conv_backward(of_mixed, mixed_in, weights.kernel, offsets, of_mixed_in)
        _add_border_gradients(of_first, mixed_in, weights.kernel, borders, passes.root_of, of_mixed_in)
        return of_y

    return result, backward


class _Pass(NamedTuple):
    """The delta rule over some of the tokens.

    Args:
        tokens: those of the segments that `bounds` divides.
    """

    weights: DeltaNetWeights
    tokens: Tensor
    bounds: Tensor

    def forward(
        self, mixed: Tensor, log_decay: Tensor, beta: Tensor, output: Tensor, initial: Tensor | None
    ) -> tuple[Tensor, delta_rule.Saved]:
        """The final states; outputs are written to `output` [T, H, Y]."""
        log_decay, beta = log_decay.index_select(0, self.tokens), beta.index_select(0, self.tokens)
        heads = self.weights.heads(mixed.index_select(0, self.tokens))
        results, final, saved = delta_rule.forward(*heads, log_decay, beta, self.bounds, initial)
        output.index_copy_(0, self.tokens, results)
        return final, saved

    def backward(
        self, grad: Tensor, of_final: Tensor | None, mixed: Tensor, beta: Tensor, saved: delta_rule.Saved, to: Tensor,
        rates: Tensor,
    ) -> Tensor:  # fmt: skip
        """The gradient of the initial states; others are written to `to` [T, C] and `rates` [2, T, H]."""
        part = mixed.index_select(0, self.tokens)
        of_part, beta = torch.empty_like(part), beta.index_select(0, self.tokens)
        of_decay, of_beta, of_initial = delta_rule.backward(
            grad.index_select(0, self.tokens), of_final, *self.weights.heads(part), beta, self.bounds, saved,
            to=self.weights.heads(of_part), with_initial=of_final is None,
        )  # fmt: skip
        to.index_copy_(0, self.tokens, of_part)
        rates[0].index_copy_(0, self.tokens, of_decay)
        rates[1].index_copy_(0, self.tokens, of_beta)
        return saved.states if of_initial is None else of_initial


def _add_border_gradients(
    grad: Tensor, x: Tensor, kernel: Tensor, borders: BranchBorders, root_of: Tensor, to: Tensor
) -> None:
    """Adds to `to` [T, C] what the first tokens of branches, whose gradient is `grad` [n, C], give to the inputs x."""
    if not len(borders.first):
        return
    count, reach = borders.exists.shape[0], kernel.shape[1] - 1
    with torch.enable_grad():
        windows = x[borders.windows].float().requires_grad_()
        results = border_results(windows, borders.exists, kernel)
    of_results = torch.zeros_like(results).flatten(0, 1).index_copy_(0, borders.places, grad.float())
    (of_windows,) = torch.autograd.grad(results, windows, of_results.view(count, reach, -1))
    before = of_windows.new_zeros(*borders.before.shape, x.shape[1]).index_add_(0, root_of, of_windows[:, :reach])
    to.index_add_(0, borders.before.flatten(), before.flatten(0, 1).to(to.dtype))
    to.index_add_(0, borders.windows[:, reach:].flatten(), of_windows[:, reach:].flatten(0, 1).to(to.dtype))
