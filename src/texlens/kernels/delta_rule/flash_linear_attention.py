"""The gated delta rule by the Triton kernels of flash-linear-attention (package `fla-core`), which honor the bounds.

Its indices of chunks are computed once a pack: it keeps those of the newest tensors of bounds.
"""

from fla.ops.gated_delta_rule import chunk_gated_delta_rule
from torch import Tensor


def delta_rule(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_decay: Tensor,
    beta: Tensor,
    cu_seqlens: Tensor,
    *,
    initial_states: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """See `api.DeltaRule.delta_rule`."""
    output, states = chunk_gated_delta_rule(
        query[None],
        key[None],
        value[None],
        g=log_decay[None],
        beta=beta[None],
        initial_state=initial_states,
        output_final_state=True,
        use_qk_l2norm_in_kernel=True,
        cu_seqlens=cu_seqlens,
    )
    return output[0], states
