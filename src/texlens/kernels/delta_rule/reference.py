"""The gated delta rule in plain PyTorch: over packs in chunks, and one token at a time.

For each token the state S [X, Y] of a head decays, what it holds under the key is read, and the part of the value that
differs is written back:

    S = exp(g) S;  S = S + k (beta (v - k S));  output = q S

Queries and keys have length 1, queries are divided by sqrt(X). Yang et al. 2025, arXiv:2412.06464, equation 10; the
chunked form is its section 3.3. The state is float32 whatever the inputs are.

# T = tokens, S = segments, N = chunks, C = tokens of a chunk, K = key heads, H = value heads
# X = width of a key, Y = width of a value, B = rows
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from texlens.kernels.delta_rule.chunks import CHUNK, Chunks, chunks_of

EPSILON = 1e-6


def delta_rule(
    query: Float[Tensor, "T K X"],
    key: Float[Tensor, "T K X"],
    value: Float[Tensor, "T H Y"],
    log_decay: Float[Tensor, "T H"],
    beta: Float[Tensor, "T H"],
    cu_seqlens: Int[Tensor, " bounds"],
    *,
    chunk: int = CHUNK,
    initial_states: Float[Tensor, "S H X Y"] | None = None,
) -> tuple[Float[Tensor, "T H Y"], Float[Tensor, "S H X Y"]]:
    """The outputs and the state at the end of each segment, with autograd; segments begin in `initial_states`, or in
    empty ones.

    Args:
        log_decay: at most 0. Each key head serves H / K value heads that follow each other.
        cu_seqlens: as in `Segments`; tokens after the last bound have outputs of no meaning.
        chunk: tokens that are computed together; results differ in rounding alone.
    """
    chunks = chunks_of(cu_seqlens, len(value), chunk)
    repeats = value.shape[1] // key.shape[1]
    query_NHCX, key_NHCX = (_in_chunks(unit(part, repeats), chunks) for part in (query, key))
    value_NHCY = _in_chunks(upcast(value), chunks)
    decay_NHC = _in_chunks(upcast(log_decay)[..., None], chunks)[..., 0].cumsum(-1)
    beta_NHC1 = _in_chunks(upcast(beta)[..., None], chunks)
    query_NHCX = query_NHCX * query.shape[-1] ** -0.5
    past_NHCC = _decay_between(decay_NHC)
    grown_NHC1 = decay_NHC.exp()[..., None]
    weighted_NHCX = key_NHCX * beta_NHC1
    system_NHCC = (weighted_NHCX @ key_NHCX.mT) * past_NHCC
    written_NHCY, erased_NHCX = _solve(system_NHCC, value_NHCY * beta_NHC1, weighted_NHCX * grown_NHC1)
    remaining_NHC1 = (decay_NHC[..., -1:] - decay_NHC).exp()[..., None]
    output_NHCY, states = _scan(
        chunks,
        query_NHCX * grown_NHC1,
        (query_NHCX @ key_NHCX.mT) * past_NHCC,
        key_NHCX * remaining_NHC1,
        written_NHCY,
        erased_NHCX,
        decay_NHC[..., -1].exp()[..., None, None],
        initial_states,
    )
    output_THY = output_NHCY.transpose(1, 2).flatten(0, 1)[chunks.flat_index]
    return output_THY.to(value.dtype), states


def delta_step(
    query: Float[Tensor, "B K X"],
    key: Float[Tensor, "B K X"],
    value: Float[Tensor, "B H Y"],
    log_decay: Float[Tensor, "B H"],
    beta: Float[Tensor, "B H"],
    state: Float[Tensor, "B H X Y"],
) -> tuple[Float[Tensor, "B H Y"], Float[Tensor, "B H X Y"]]:
    """The output of one more token of each row, and the states after it."""
    repeats = value.shape[1] // key.shape[1]
    query_BHX, key_BHX = unit(query, repeats) * query.shape[-1] ** -0.5, unit(key, repeats)
    state = state * upcast(log_decay).exp()[..., None, None]
    held_BHY = (key_BHX[..., None, :] @ state)[..., 0, :]
    change_BHY = (upcast(value) - held_BHY) * upcast(beta)[..., None]
    state = state + key_BHX[..., None] * change_BHY[..., None, :]
    return (query_BHX[..., None, :] @ state)[..., 0, :].to(value.dtype), state


def unit(x: Float[Tensor, "T K X"], repeats: int) -> Float[Tensor, "T H X"]:
    """Vectors of length 1, in float32 or more, each head `repeats` times."""
    x = upcast(x)
    x = x * torch.rsqrt(x.square().sum(-1, keepdim=True) + EPSILON)
    return x.repeat_interleave(repeats, 1) if repeats > 1 else x


def upcast(x: Tensor) -> Tensor:
    """16 bits as float32; float32 and float64 unchanged."""
    return x.float() if x.itemsize < 4 else x


def _in_chunks(x_THW: Tensor, chunks: Chunks) -> Tensor:
    """[N, H, C, W]; zeros where a chunk has no token, whatever the tokens of other segments hold."""
    x_NCHW = x_THW[chunks.index]
    x_NCHW = torch.where(chunks.is_token[..., None, None], x_NCHW, torch.zeros_like(x_NCHW))
    return x_NCHW.transpose(1, 2)


def _decay_between(decay_NHC: Tensor) -> Tensor:
    """[N, H, C, C]: what is left of what place j wrote when place i reads; 0 for j > i."""
    difference = decay_NHC[..., :, None] - decay_NHC[..., None, :]
    size = decay_NHC.shape[-1]
    later = torch.ones(size, size, dtype=torch.bool, device=decay_NHC.device).triu(1)
    return difference.masked_fill(later, float("-inf")).exp()


def _solve(system: Tensor, *right: Tensor) -> tuple[Tensor, ...]:
    """What the places of a chunk write once each has seen what those before it wrote: a unit lower triangular
    system."""
    widths = [part.shape[-1] for part in right]
    solved = torch.linalg.solve_triangular(system, torch.cat(right, -1), upper=False, unitriangular=True)
    return solved.split(widths, -1)


def _scan(chunks: Chunks, query, scores, key, written, erased, decay, states: Tensor | None) -> tuple[Tensor, Tensor]:
    """Outputs [N, H, C, Y] and final states [S, H, X, Y]: one step for each number of chunk, all segments together."""
    heads, width_x, width_y = key.shape[1], key.shape[-1], written.shape[-1]
    if states is None:
        states = written.new_zeros(len(chunks.counts), heads, width_x, width_y)
    outputs, order = [], []
    for step in range(chunks.longest):
        active = chunks.segments_at(step)
        at = chunks.first[active] + step
        state = states[active]
        new = written[at] - erased[at] @ state
        outputs.append(query[at] @ state + scores[at] @ new)
        order.append(at)
        states = states.index_copy(0, active, state * decay[at] + key[at].mT @ new)
    if not outputs:
        return torch.zeros_like(written), states
    numbers = torch.cat(order)
    return torch.cat(outputs)[numbers.argsort()], states
