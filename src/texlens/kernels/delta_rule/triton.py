"""The gated delta rule over packs as Triton kernels, forward and backward: launches, and the function for autograd.

The reference is `reference.delta_rule`; sums and states are float32 here too. The grids depend on T and S alone, so the
host waits for nothing, and launch settings are fixed: nothing is tuned at run time.

# T = tokens, S = segments, K = key heads, H = value heads, X = width of a key, Y = width of a value
"""

from typing import NamedTuple

import torch
import triton
from torch import Tensor

from texlens.kernels.attention.triton import LEAST_BOUNDS
from texlens.kernels.delta_rule import triton_chunks, triton_prepare
from texlens.kernels.delta_rule.reference import EPSILON

CHUNK, ROWS = 64, 16
MAX_COLUMNS, MAX_COLUMNS_OF_FLOAT32 = 128, 32
"""Of a program; tiles of float32 take twice the shared memory."""


class Launch(NamedTuple):
    """Columns that a program computes, and its warps."""

    columns: int
    warps: int


LAUNCHES = {
    "states": Launch(64, 4),
    "outputs": Launch(128, 4),
    "grad_new": Launch(128, 4),
    "states_backward": Launch(64, 4),
    "grad_keys": Launch(64, 4),
}
"""The fastest tried on an H200 (`benchmarks/delta_rule_kernels.py --choose`, 2026-12-01); `grad_keys` was one kernel
then."""


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
    """See `api.DeltaRule.delta_rule`. Outputs and gradients of tokens after the last bound are 0."""
    return _DeltaRule.apply(query, key, value, log_decay, beta, cu_seqlens, initial_states)


class Saved(NamedTuple):
    """What the backward pass needs besides the inputs."""

    unit_query: Tensor
    unit_key: Tensor
    total_decay: Tensor
    inverse: Tensor
    states: Tensor
    new: Tensor


class _DeltaRule(torch.autograd.Function):
    @staticmethod
    def forward(ctx, query, key, value, log_decay, beta, cu_seqlens, initial):
        log_decay, beta = log_decay.contiguous(), beta.contiguous()
        query, key, value = (_contiguous_heads(part) for part in (query, key, value))
        output, final, saved = forward(query, key, value, log_decay, beta, cu_seqlens, initial)
        ctx.save_for_backward(query, key, value, beta, cu_seqlens, *saved)
        ctx.has_initial, ctx.decay_dtype = initial is not None, log_decay.dtype
        ctx.set_materialize_grads(False)
        return output, final

    @staticmethod
    def backward(ctx, grad, grad_final):  # pyrefly: ignore[bad-override]
        query, key, value, beta, cu_seqlens, *saved = ctx.saved_tensors
        if grad is None:
            grad = value.new_zeros(value.shape)
        to = tuple(part.new_empty(part.shape) for part in (query, key, value))
        of_decay, of_beta, of_initial = backward(
            grad, grad_final, query, key, value, beta, cu_seqlens, Saved(*saved), to=to, with_initial=ctx.has_initial
        )
        return *to, of_decay.to(ctx.decay_dtype), of_beta.to(beta.dtype), None, of_initial


def forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_decay: Tensor,
    beta: Tensor,
    cu_seqlens: Tensor,
    initial: Tensor | None,
) -> tuple[Tensor, Tensor, Saved]:
    """The outputs [T, H, Y], the final states [S, H, X, Y], and what `backward` needs."""
    shape = _Shape.of(key, value, cu_seqlens)
    unit_query, unit_key = unit(query, query.shape[-1] ** -0.5), unit(key, 1.0)
    total_decay = torch.empty(log_decay.shape, dtype=torch.float32, device=key.device)
    inverse = key.new_empty(shape.tiles, shape.heads, CHUNK, CHUNK)
    states = key.new_empty(shape.tiles, shape.heads, shape.x, shape.y)
    new, output = value.new_empty(value.shape), value.new_empty(value.shape)
    final = torch.empty(shape.segments, shape.heads, shape.x, shape.y, dtype=torch.float32, device=key.device)
    diagonal = torch.empty(shape.tiles, shape.heads, 4, 16, 16, device=key.device)
    widths = {"WIDTH": shape.x, "PADDED": shape.padded_x, "BOUNDS": shape.bounds, "num_warps": 1}
    heads = {"HEADS": shape.heads, "REPEATS": shape.repeats}
    triton_prepare.diagonal_kernel[(shape.tiles, shape.heads, 4)](
        unit_key, log_decay, beta, total_decay, diagonal, cu_seqlens, shape.segments, shape.tokens, unit_key.stride(0),
        **heads, **widths,
    )  # fmt: skip
    triton_prepare.inverse_kernel[(shape.tiles, shape.heads)](
        unit_key, beta, total_decay, diagonal, inverse, cu_seqlens, shape.segments, shape.tokens, unit_key.stride(0),
        **heads, **widths,
    )  # fmt: skip
    columns, grid, options = shape.launch("states", shape.y)
    triton_chunks.states_kernel[(columns * shape.segments * shape.heads,)](
        unit_key, value, beta, total_decay, inverse, final if initial is None else initial.contiguous(), states, new,
        final, cu_seqlens, value.stride(0), **shape.constants, PX=shape.padded_x, INITIAL=initial is not None,
        **options,
    )  # fmt: skip
    columns, grid, options = shape.launch("outputs", shape.y)
    triton_chunks.outputs_kernel[grid](
        unit_query, unit_key, total_decay, states, new, output, cu_seqlens, shape.segments, shape.tokens,
        **shape.constants, PX=shape.padded_x, BOUNDS=shape.bounds, **options,
    )  # fmt: skip
    return output, final, Saved(unit_query, unit_key, total_decay, inverse, states, new)


def backward(
    grad: Tensor,
    grad_final: Tensor | None,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    beta: Tensor,
    cu_seqlens: Tensor,
    saved: Saved,
    *,
    to: tuple[Tensor, ...],
    with_initial: bool = False,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients of the decay's logarithm and beta [T, H], float32, and of the initial states, or None; those of query,
    key and value are written to the tensors `to`, whose tokens may be strided."""
    shape = _Shape.of(key, value, cu_seqlens)
    grad = grad.to(value.dtype).contiguous()
    unit_query, unit_key, total_decay, inverse, states, new = saved
    grad_new, grad_right = torch.empty_like(new), torch.empty_like(new)
    columns, grid, options = shape.launch("grad_new", shape.y)
    triton_chunks.grad_new_kernel[grid](
        unit_query, unit_key, total_decay, grad, grad_new, cu_seqlens, shape.segments, shape.tokens,
        **shape.constants, PX=shape.padded_x, BOUNDS=shape.bounds, **options,
    )  # fmt: skip
    grad_states, of_initial = torch.empty_like(states), None
    if with_initial:
        of_initial = torch.empty(shape.segments, *states.shape[1:], dtype=torch.float32, device=key.device)
    columns, grid, options = shape.launch("states_backward", shape.y)
    triton_chunks.states_backward_kernel[(columns * shape.segments * shape.heads,)](
        unit_query, unit_key, beta, total_decay, inverse, grad, grad_new,
        states if grad_final is None else grad_final.contiguous(), grad_states, grad_right,
        states if of_initial is None else of_initial, cu_seqlens, **shape.constants, PX=shape.padded_x,
        FINAL=grad_final is not None, INITIAL=with_initial, **options,
    )  # fmt: skip
    columns, grid, options = shape.launch("grad_keys", shape.x)
    heads_of_queries = key.new_empty(1, shape.tokens, shape.heads, shape.x)
    heads_of_keys = key.new_empty(2, shape.tokens, shape.heads, shape.x)
    of_total = torch.empty(2, columns, *total_decay.shape, device=key.device)
    of_rate = torch.empty(columns, *total_decay.shape, device=key.device)
    triton_chunks.grad_reads_kernel[grid](
        unit_query, unit_key, value, beta, total_decay, states, new, grad, grad_right, heads_of_queries,
        heads_of_keys[0], of_total[0], of_rate, cu_seqlens, shape.segments, shape.tokens, value.stride(0),
        **shape.constants, PY=shape.padded_y, BOUNDS=shape.bounds, **options,
    )  # fmt: skip
    triton_chunks.grad_writes_kernel[grid](
        unit_query, unit_key, beta, total_decay, states, grad_states, new, grad, grad_right, heads_of_keys[1],
        of_total[1], cu_seqlens, shape.segments, shape.tokens,
        **shape.constants, PY=shape.padded_y, BOUNDS=shape.bounds, **options,
    )  # fmt: skip
    of_decay, of_beta = torch.empty_like(total_decay), torch.empty_like(total_decay)
    triton_chunks.grad_rates_kernel[(shape.tiles, shape.heads)](
        of_total, of_rate, grad_right, beta, of_decay, of_beta, to[2], cu_seqlens, shape.segments, shape.tokens,
        to[2].stride(0), HEADS=shape.heads, Y=shape.y, PY=shape.padded_y, PARTS=columns, BOUNDS=shape.bounds,
        num_warps=4,
    )  # fmt: skip
    unit_backward(query, heads_of_queries, query.shape[-1] ** -0.5, to[0])
    unit_backward(key, heads_of_keys, 1.0, to[1])
    return of_decay, of_beta, of_initial


def unit(x: Tensor, scale: float) -> Tensor:
    """scale * x / |x|, contiguous [T, K, X]."""
    tokens, heads, width = x.shape
    result = x.new_empty(x.shape)
    triton_prepare.unit_kernel[(triton.cdiv(tokens * heads, ROWS),)](
        x, result, tokens * heads, x.stride(0), scale, EPSILON, HEADS=heads, WIDTH=width,
        PADDED=triton.next_power_of_2(width), ROWS=ROWS,
    )  # fmt: skip
    return result


def unit_backward(x: Tensor, grads: Tensor, scale: float, to: Tensor) -> None:
    """Writes to `to` the gradient of x [T, K, X], from the parts of that of the vectors of length `scale` of all value
    heads [parts, T, H, X]."""
    tokens, heads, width = x.shape
    triton_prepare.unit_backward_kernel[(triton.cdiv(tokens * heads, ROWS),)](
        x, grads, to, tokens * heads, x.stride(0), to.stride(0), scale, EPSILON, HEADS=heads,
        REPEATS=grads.shape[2] // heads, PARTS=len(grads), WIDTH=width, PADDED=triton.next_power_of_2(width), ROWS=ROWS,
    )  # fmt: skip


class _Shape(NamedTuple):
    tokens: int
    segments: int
    heads: int
    repeats: int
    x: int
    y: int
    max_columns: int

    @classmethod
    def of(cls, key: Tensor, value: Tensor, cu_seqlens: Tensor) -> "_Shape":
        heads = value.shape[1]
        widths = key.shape[2], value.shape[2], MAX_COLUMNS if key.itemsize < 4 else MAX_COLUMNS_OF_FLOAT32
        return cls(len(value), len(cu_seqlens) - 1, heads, heads // key.shape[1], *widths)

    @property
    def tiles(self) -> int:
        """An upper bound of the chunks of all segments and of the tokens after them."""
        return self.tokens // CHUNK + self.segments + 1

    @property
    def bounds(self) -> int:
        return max(LEAST_BOUNDS, triton.next_power_of_2(self.segments + 1))

    @property
    def padded_x(self) -> int:
        return max(16, triton.next_power_of_2(self.x))

    @property
    def padded_y(self) -> int:
        return max(16, triton.next_power_of_2(self.y))

    @property
    def constants(self) -> dict[str, int]:
        return {"HEADS": self.heads, "REPEATS": self.repeats, "X": self.x, "Y": self.y}

    def launch(self, kernel: str, width: int) -> tuple[int, tuple[int, int, int], dict[str, int]]:
        """Programs along a width, the grid of a kernel over chunks, and the options of a launch."""
        launch = LAUNCHES[kernel]
        columns = min(launch.columns, self.max_columns, max(16, triton.next_power_of_2(width)))
        count = triton.cdiv(width, columns)
        return count, (count, self.tiles, self.heads), {"COLUMNS": columns, "num_warps": launch.warps, "num_stages": 1}


def _contiguous_heads(x: Tensor) -> Tensor:
    """x [T, H, W] with contiguous heads in each token."""
    return x if x.stride(2) == 1 and x.stride(1) == x.shape[2] else x.contiguous()
