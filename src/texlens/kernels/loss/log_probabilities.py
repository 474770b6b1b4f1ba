"""Log-probabilities of label rows and entropies of their distributions, in chunks, without keeping logits.

`chunked.label_row_loss` sums them and has its gradient before the loss is known. Objectives that compare answers weigh
each row by what all rows of a pack gave, so the backward pass computes the logits of a chunk again.

# L = label rows, V = vocabulary, D = width
"""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from texlens.core.labels import IGNORE_INDEX
from texlens.kernels.backends import Registry
from texlens.kernels.loss.chunked import CHUNK


class LabelScores(NamedTuple):
    """Of each label row [L], in nats and float32: the label's log-probability and the distribution's entropy, which has
    no gradient. Both are 0 where the label is -100."""

    log_probabilities: Tensor
    entropies: Tensor


@runtime_checkable
class ScoreKernels(Protocol):
    """The two passes over a chunk's logits. `work` is the divisor of a chunk's rows with which their memory stays
    within that of the chunk's logits in 16 bits."""

    work: int

    def forward(self, logits_LV: Tensor, labels_L: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities and entropies (see `LabelScores`), and logs of sums of exponentials, each float32 [L]."""
        ...

    def backward(
        self, logits_LV: Tensor, labels_L: Tensor, log_sums_L: Tensor, grad_L: Tensor, temperature: float
    ) -> Tensor:
        """The gradient of the logits in their dtype, which may be written over them.

        Args:
            grad_L: of the log-probabilities, float32.
        """
        ...


def label_scores(
    hidden_LD: Float[Tensor, "L D"],
    head_VD: Float[Tensor, "V D"],
    labels_L: Int[Tensor, " L"],
    *,
    temperature: float = 1.0,
    chunk: int = CHUNK,
    kernels: ScoreKernels | None = None,
) -> LabelScores:
    """Scores under the float32 softmax of `hidden @ head.T / temperature`.

    A trained head goes through autograd (`label_scores_reference`), which keeps the logits.

    Args:
        chunk: label rows whose 16-bit logits there is room for.
        kernels: one of `BACKENDS`; default: the reference.
    """
    if head_VD.requires_grad:
        return label_scores_reference(functional.linear(hidden_LD, head_VD), labels_L, temperature)
    kernels = kernels or BACKENDS["reference"]
    return LabelScores(*_LabelScores.apply(hidden_LD, head_VD, labels_L, temperature, chunk, kernels))


def label_scores_reference(
    logits_LV: Float[Tensor, "L V"], labels_L: Int[Tensor, " L"], temperature: float = 1.0
) -> LabelScores:
    """The same of logits, in PyTorch operations."""
    logs_LV = (logits_LV.float() / temperature).log_softmax(-1)
    ignored_L = labels_L == IGNORE_INDEX
    chosen_L = logs_LV.gather(1, labels_L.clamp(min=0)[:, None])[:, 0].masked_fill(ignored_L, 0)
    with torch.no_grad():
        entropies_L = -(logs_LV.exp() * logs_LV).sum(-1).masked_fill(ignored_L, 0)
    return LabelScores(chosen_L, entropies_L)


class ReferenceKernels:
    """In PyTorch operations, whose work in float32 takes up to seven times the bytes of 16-bit logits."""

    work = 8

    def forward(self, logits_LV: Tensor, labels_L: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        log_sums_L = (logits_LV.float() / temperature).logsumexp(-1)
        chosen_L, entropies_L = label_scores_reference(logits_LV, labels_L, temperature)
        return chosen_L, entropies_L, log_sums_L

    def backward(
        self, logits_LV: Tensor, labels_L: Tensor, log_sums_L: Tensor, grad_L: Tensor, temperature: float
    ) -> Tensor:
        weights_L = (grad_L / temperature).masked_fill(labels_L == IGNORE_INDEX, 0)
        grad_LV = logits_LV.float().div_(temperature).sub_(log_sums_L[:, None]).exp_().neg_()
        index_L1 = labels_L.clamp(min=0)[:, None]
        grad_LV.scatter_add_(1, index_L1, torch.ones_like(index_L1, dtype=grad_LV.dtype))
        return grad_LV.mul_(weights_L[:, None]).to(logits_LV.dtype)


def _triton() -> ScoreKernels:
    from texlens.kernels.loss.triton_scores import TritonKernels

    return TritonKernels()


BACKENDS: Registry[ScoreKernels] = Registry(reference=ReferenceKernels, cpu=ReferenceKernels, triton=_triton)
"""By the name of the fused layers' backend."""


class _LabelScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden_LD, head_VD, labels_L, temperature, chunk, kernels):
        chosen_L = torch.zeros(len(hidden_LD), device=hidden_LD.device)
        entropies_L, log_sums_L = torch.zeros_like(chosen_L), torch.zeros_like(chosen_L)
        chunk = max(1, chunk // kernels.work)
        for start in range(0, len(hidden_LD), chunk):
            rows = slice(start, start + chunk)
            logits = functional.linear(hidden_LD[rows], head_VD)
            chosen_L[rows], entropies_L[rows], log_sums_L[rows] = kernels.forward(logits, labels_L[rows], temperature)
            del logits
        ctx.save_for_backward(hidden_LD, head_VD, labels_L, log_sums_L)
        ctx.temperature, ctx.chunk, ctx.kernels = temperature, chunk, kernels
        ctx.mark_non_differentiable(entropies_L)
        return chosen_L, entropies_L

    @staticmethod
    def backward(ctx, grad_L, _):  # pyrefly: ignore[bad-override]
        hidden_LD, head_VD, labels_L, log_sums_L = ctx.saved_tensors
        grad_LD = torch.empty_like(hidden_LD)
        for start in range(0, len(hidden_LD), ctx.chunk):
            rows = slice(start, start + ctx.chunk)
            logits = functional.linear(hidden_LD[rows], head_VD)
            parts = labels_L[rows], log_sums_L[rows], grad_L[rows].float()
            torch.mm(ctx.kernels.backward(logits, *parts, ctx.temperature), head_VD, out=grad_LD[rows])
            del logits
        return grad_LD, None, None, None, None, None
