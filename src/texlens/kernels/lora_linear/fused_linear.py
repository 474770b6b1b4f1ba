"""A frozen weight with its LoRA adapters as one matrix product in each direction, as `decoder_layer` takes it.

The augmented weight has LoRA B as extra columns and LoRA A as extra rows, and inputs have their LoRA A outputs
appended:

    [x, x @ A.T] @ [W, B].T  =  x @ (W + B @ A).T             forward
    [grad, grad @ B] @ [W; A]  =  grad @ (W + B @ A)          backward

so that results are not read again to add the adapters' part. LoRA: Hu et al. 2021, arXiv:2106.09685.

# T = tokens, D = width in, N = width out, R = adapter ranks side by side, padded, F = width of the MLP
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from texlens.kernels.adapter import Adapter, padded_ranks
from texlens.kernels.dropout.api import dropout_kernels
from texlens.kernels.dropout.mask import LoraDropout
from texlens.kernels.elementwise.backend import ElementwiseKernels
from texlens.kernels.lora_linear.backend import MIN_WIDTH, triton_lora
from texlens.kernels.lora_linear.states import DoraGrads, DoraState, LoraBGrads, LoraState
from texlens.kernels.moe_lora.api import Gating


class LinearGrads(NamedTuple):
    """Gradients of x [T, D], and, where there are adapters, of the LoRA A output [T, R] and of LoRA B."""

    x: Tensor
    lora_a_out: Tensor | None
    lora_b: LoraBGrads | None


class DroppedRows(NamedTuple):
    """Rows of a gradient [T, N] and the gradient of the LoRA A output [T, R], where the input was dropped for LoRA
    alone: then one product can't give the gradient of x."""

    grad: Any
    grad_lora_a_out: Tensor | None
    dropped: int | None = None
    """Columns of the LoRA A output whose input is dropped; routers, after them, read all of it."""

    def write_dropped(self, dx: Tensor, lora_a: Tensor, dropout: LoraDropout) -> Tensor:
        """The gradient through LoRA A, written over dx, to which a product is then added: it reads dx for nothing."""
        grad, dropped = self.grad_lora_a_out, self.dropped
        assert grad is not None
        if dropped is None:
            return dropout_kernels(dx).write_dropped_grad(dx, grad, lora_a, dropout)
        dx = dropout_kernels(dx).write_dropped_grad(dx, grad[:, :dropped].contiguous(), lora_a[:dropped], dropout)
        return dx.addmm_(grad[:, dropped:], lora_a[dropped:])

    def add_dropped(self, dx: Tensor, lora_a: Tensor, dropout: LoraDropout) -> Tensor:
        """dx plus the gradient through LoRA A."""
        grad, dropped = self.grad_lora_a_out, self.dropped
        assert grad is not None
        if dropped is None:
            return dropout_kernels(dx).add_dropped_grad(dx, grad, lora_a, dropout)
        dx = dropout_kernels(dx).add_dropped_grad(dx, grad[:, :dropped].contiguous(), lora_a[:dropped], dropout)
        return dx.addmm_(grad[:, dropped:], lora_a[dropped:])


class SwigluGrads(NamedTuple):
    """The backward pass of SwiGLU with the products around it.

    Args:
        rows: the gradient of gate and up in the form that `grad_input` takes.
        lora_a_out: of the gate/up product.
        lora_b: of the gate/up product.
        down_lora_a: gradient of all LoRA A of the down projection [R', F].
    """

    rows: Any
    lora_a_out: Tensor | None
    lora_b: LoraBGrads | None
    down_lora_a: Tensor | None


@runtime_checkable
class FusedLinear(Protocol):
    """A frozen weight [N, D] with its adapters."""

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def extra_columns(self) -> int:
        """Columns to leave free after x and after the gradient."""
        ...

    @property
    def grad_columns(self) -> int:
        """Those of them that are used after the gradient."""
        ...

    def forward(self, x: Tensor) -> tuple[Tensor, LoraState | None]:
        """x @ (W + B @ A).T + bias [T, N], and x @ A.T [T, R].

        x is [T, D + extra_columns], the extra columns written here, or [T, D].
        """
        ...

    def backward(self, grad: Tensor, lora_a_out: LoraState | None) -> LinearGrads:
        """From the gradient of the result of `forward`, [T, N + extra_columns], the extra columns written here."""
        ...

    def forward_of_norm(
        self, kernels: ElementwiseKernels, x: Tensor, weight: Tensor, eps: float, residual: Tensor | None = None
    ) -> tuple[Tensor, LoraState | None]:
        """`forward` of the RMS norm of x [T, D], or of x + residual, which is written over `residual`."""
        ...

    def forward_of_swiglu(self, kernels: ElementwiseKernels, gate_up: Tensor) -> tuple[Tensor, LoraState | None]:
        """`forward` of silu(gate) * up, from gate and up side by side [T, 2D]."""
        ...

    def swiglu_backward(
        self,
        kernels: ElementwiseKernels,
        grad: Tensor,
        gate_up: Tensor,
        lora_a_out: LoraState | None,
        grad_down_lora_a_out: Tensor | None,
        down: "FusedLinear",
    ) -> SwigluGrads:
        """From the gradient of silu(gate) * up, where `gate_up` and `lora_a_out` are what `forward` returned.

        Args:
            grad: [T, F].
            grad_down_lora_a_out: [T, R'], the gradient of the LoRA A output of the down projection, if it is adapted.
            down: the down projection.
        """
        ...

    def grad_input(self, rows: Any) -> Tensor:
        """The gradient of x after `swiglu_backward`; memory can be freed between the two."""
        ...

    def lora_b_grads(
        self, grad: Tensor, lora_a_out: LoraState | None, extra_columns: Tensor | None = None
    ) -> tuple[Tensor | None, LoraBGrads | None]:
        """`backward` without the gradient of x; grad is [T, N], and `extra_columns` [T, R] is written if given."""
        ...

    def lora_a_grad(self, grad_lora_a_out: Tensor | None, x: Tensor) -> Tensor | None:
        """The gradient of all LoRA A [R, D], from that of the LoRA A output and the input x [T, D]."""
        ...

    @property
    def is_plain(self) -> bool:
        """Whether the LoRA A output is a product of x itself, without dropout and routers."""
        ...

    @property
    def is_ungated(self) -> bool:
        """Whether the LoRA A output is a product of x itself or of x after dropout."""
        ...

    @property
    def active_dropout(self) -> LoraDropout | None: ...

    @property
    def gating(self) -> Gating | None: ...

    def trained(self) -> tuple[Tensor, ...]:
        """The parameters of the adapters."""
        ...

    def invalidate(self) -> None:
        """Reports that the adapters may have been written to."""
        ...

    def parameter_grads(self, lora_a: Tensor | None, lora_b: LoraBGrads | None) -> list[Tensor]:
        """Gradients of `trained`, from those of all LoRA A [R, D] and of LoRA B."""
        ...


class FusedLinearBase:
    """What all kinds of products share: the adapters of stacked layers, side by side in `ranks` columns."""

    def __init__(
        self,
        height: int,
        width: int,
        bias: Tensor | None,
        adapters: tuple[Adapter, ...],
        dropout: LoraDropout | None = None,
        gating: Gating | None = None,
    ):
        self.height, self.width, self.bias, self.adapters = height, width, bias, adapters
        self.dropout, self.gating = dropout, gating
        self.ranks = padded_ranks(adapters, gating.routers if gating else 0, width)
        self._versions: tuple = ()

    @property
    def extra_columns(self) -> int:
        return 0

    @property
    def grad_columns(self) -> int:
        return 0 if self.drops else self.extra_columns

    def forward(self, x: Tensor) -> tuple[Tensor, LoraState | None]:
        raise NotImplementedError

    def backward_rows(self, grad: Tensor, lora_a_out: LoraState | None) -> tuple[Any, Tensor | None, LoraBGrads | None]:
        """What `grad_input` takes, and the gradients of the LoRA A output and of LoRA B."""
        raise NotImplementedError

    def grad_input(self, rows: Any) -> Tensor:
        raise NotImplementedError

    def backward(self, grad: Tensor, lora_a_out: LoraState | None) -> LinearGrads:
        rows, grad_lora_a_out, grad_lora_b = self.backward_rows(grad, lora_a_out)
        return LinearGrads(self.grad_input(rows), grad_lora_a_out, grad_lora_b)

    def forward_of_norm(
        self, kernels: ElementwiseKernels, x: Tensor, weight: Tensor, eps: float, residual: Tensor | None = None
    ) -> tuple[Tensor, LoraState | None]:
        if residual is None:
            return self.forward(kernels.rms_norm(x, weight, eps, self.extra_columns))
        return self.forward(kernels.add_rms_norm(x, residual, weight, eps, self.extra_columns)[1])

    def forward_of_swiglu(self, kernels: ElementwiseKernels, gate_up: Tensor) -> tuple[Tensor, LoraState | None]:
        return self.forward(kernels.swiglu(gate_up, self.extra_columns))

    def swiglu_backward(
        self,
        kernels: ElementwiseKernels,
        grad: Tensor,
        gate_up: Tensor,
        lora_a_out: LoraState | None,
        grad_down_lora_a_out: Tensor | None,
        down: "FusedLinear",
    ) -> SwigluGrads:
        dgate_up, activation = kernels.swiglu_backward(grad, gate_up, self.extra_columns)
        down_lora_a = down.lora_a_grad(grad_down_lora_a_out, activation)
        del activation
        return SwigluGrads(*self.backward_rows(dgate_up, lora_a_out), down_lora_a)

    @property
    def drops(self) -> bool:
        return self.dropout is not None and self.dropout.is_active and bool(self.adapters)

    @property
    def dropped(self) -> int | None:
        """Columns of the LoRA A output whose input dropout changes; None for all."""
        return self.gating.router_rows[0].start if self.gating is not None else None

    @property
    def is_plain(self) -> bool:
        return not self.drops and self.gating is None

    @property
    def is_ungated(self) -> bool:
        return self.gating is None

    @property
    def active_dropout(self) -> LoraDropout | None:
        return self.dropout if self.drops else None

    def lora_a_product(self, x: Tensor, lora_a: Tensor) -> tuple[Tensor, LoraState]:
        """What LoRA B multiplies [T, R], and what is saved for the backward pass."""
        if self.dropout is not None and self.drops:
            lora_a_out = dropout_kernels(x).dropped_product(x, lora_a, self.dropout)
            if self.dropped is not None:
                lora_a_out[:, self.dropped :] = torch.mm(x, lora_a[self.dropped :].T)
        else:
            lora_a_out = torch.mm(x, lora_a.T)
        if self.gating is None:
            return lora_a_out, lora_a_out
        state = self.gating.forward(lora_a_out)
        return state.gated, state

    def lora_a_grad(self, grad_lora_a_out: Tensor | None, x: Tensor) -> Tensor | None:
        if grad_lora_a_out is None:
            return None
        if self.dropout is not None and self.drops:
            result = dropout_kernels(x).dropped_sum(grad_lora_a_out, x, self.dropout)
            if self.dropped is not None:
                result[self.dropped :] = sum_over_tokens(grad_lora_a_out[:, self.dropped :].contiguous(), x)
            return result
        return sum_over_tokens(grad_lora_a_out, x)

    def lora_backward(
        self, grad: Tensor, lora_b: Tensor, state: LoraState, extra_columns: Tensor | None
    ) -> tuple[Tensor, LoraBGrads]:
        """Gradients of the LoRA A output, written into `extra_columns` too if given, and of LoRA B."""
        if isinstance(state, Tensor):
            return lora_b_backward(grad, lora_b, state, self.adapters, extra_columns)
        assert self.gating is not None
        assert not isinstance(state, DoraState)
        grad_gated, grad_lora_b = lora_b_backward(grad, lora_b, state.gated, self.adapters, None)
        grad_lora_a_out = self.gating.backward(grad_gated, state)
        if extra_columns is not None:
            extra_columns.copy_(grad_lora_a_out)
        return grad_lora_a_out, grad_lora_b

    def trained(self) -> tuple[Tensor, ...]:
        parts = tuple(part for adapter in self.adapters for part in (adapter.lora_a, adapter.lora_b))
        return parts + (self.gating.weights if self.gating else ())

    def parameter_grads(self, lora_a: Tensor | None, lora_b: LoraBGrads | None) -> list[Tensor]:
        if lora_a is None or lora_b is None or isinstance(lora_b, DoraGrads):
            return []
        if isinstance(lora_b, Tensor):
            lora_b = tuple(lora_b[adapter.rows, adapter.columns] * adapter.scaling for adapter in self.adapters)
        lora_as = (lora_a[adapter.columns] for adapter in self.adapters)
        grads = [part for pair in zip(lora_as, lora_b, strict=True) for part in pair]
        return grads + ([lora_a[rows] for rows in self.gating.router_rows] if self.gating else [])

    def invalidate(self) -> None:
        """Has the adapters copied again at the next use: fused optimizers write to them without a new version."""
        self._versions = ()

    def take_changes(self) -> bool:
        """Whether an adapter was written to or replaced since the last call."""
        versions = tuple((part._version, part.data_ptr()) for part in self.trained())
        before, self._versions = self._versions, versions
        return versions != before

    def write_adapters(self, lora_b: Float[Tensor, "N R"], lora_a: Float[Tensor, "R D"]) -> None:
        """Copies all LoRA B, scaled, and all LoRA A into two parts of a weight."""
        kernels = triton_lora("write_adapters", lora_b) if self._are_contiguous() else None
        with torch.no_grad():
            if kernels is not None:
                kernels.write_adapters(self.adapters, lora_b, lora_a)
            for adapter in self.adapters if kernels is None else ():
                torch.mul(adapter.lora_b, adapter.scaling, out=lora_b[adapter.rows, adapter.columns])
                lora_a[adapter.columns] = adapter.lora_a
            if self.gating is not None:
                for rows, weight in zip(self.gating.router_rows, self.gating.weights, strict=True):
                    lora_a[rows] = weight

    def _are_contiguous(self) -> bool:
        parts = [part for adapter in self.adapters for part in (adapter.lora_a, adapter.lora_b)]
        return all(type(part) in (Tensor, nn.Parameter) and part.is_contiguous() for part in parts)


def lora_b_backward(
    grad: Float[Tensor, "T N"],
    lora_b: Float[Tensor, "N R"],
    lora_a_out: Float[Tensor, "T R"],
    adapters: Sequence[Adapter],
    extra_columns: Float[Tensor, "T R"] | None,
) -> tuple[Float[Tensor, "T R"], LoraBGrads]:
    """grad @ lora_b, written into `extra_columns` too if given, and the gradient of LoRA B: grad.T @ lora_a_out."""
    if grad.shape[1] >= MIN_WIDTH and (kernels := triton_lora("lora_b_backward", grad)) is not None:
        return kernels.lora_b_backward(grad, lora_b, lora_a_out, adapters, extra_columns)
    grad_lora_a_out = torch.mm(grad, lora_b)
    if extra_columns is not None:
        extra_columns.copy_(grad_lora_a_out)
    return grad_lora_a_out, sum_over_tokens(grad, lora_a_out)


def sum_over_tokens(left: Float[Tensor, "T N"], right: Float[Tensor, "T R"]) -> Float[Tensor, "N R"]:
    """left.T @ right; on a GPU in float32 where they are in 16 bits."""
    if left.is_cuda and left.itemsize == 2:
        return torch.mm(left.T, right, out_dtype=torch.float32)
    return torch.mm(left.T, right)
