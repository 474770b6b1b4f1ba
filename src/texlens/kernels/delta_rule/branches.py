"""The gated delta rule over segments that share a prefix: a branch begins in the state that its prefix ends in.

The segments without a prefix are computed first, the branches after them, so that the prefix is computed once and its
state's gradient is the sum of its branches'.
"""

from jaxtyping import Float
from torch import Tensor

from texlens.kernels.attention.prefixes import Prefixes
from texlens.kernels.delta_rule.api import DeltaRule


def branched_delta_rule(
    rule: DeltaRule,
    query: Float[Tensor, "T K X"],
    key: Float[Tensor, "T K X"],
    value: Float[Tensor, "T H Y"],
    log_decay: Float[Tensor, "T H"],
    beta: Float[Tensor, "T H"],
    prefixes: Prefixes,
) -> Float[Tensor, "T H Y"]:
    """As `DeltaRule.delta_rule` of each branch together with its prefix."""
    passes = prefixes.passes

    def run(tokens: Tensor, bounds: Tensor, states: Tensor | None) -> tuple[Tensor, Tensor]:
        parts = [part.index_select(0, tokens) for part in (query, key, value, log_decay, beta)]
        return rule.delta_rule(parts[0], parts[1], parts[2], parts[3], parts[4], bounds, initial_states=states)

    of_roots, states = run(passes.roots, passes.root_bounds, None)
    of_branches, _ = run(passes.branches, passes.branch_bounds, states.index_select(0, passes.root_of))
    return (
        of_roots.new_empty(value.shape)
        .index_copy(0, passes.roots, of_roots)
        .index_copy(0, passes.branches, of_branches)
    )
