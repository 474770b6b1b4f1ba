"""A loss that is no number never reaches the weights, and its rows are named, without waiting for a GPU."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from texlens.core.errors import RunError


@dataclass
class NanGuard:
    """Looks at the loss of each pack of a step.

    On the CPU a bad loss raises at once, and so it does on a GPU with an optimiser that is not PyTorch's fused one.
    Those leave the weights alone where their `found_inf` is set, on the device itself; the flags come over while the
    next step runs, and raise there, or in `read` after the last one.
    """

    _coming: list[tuple[Tensor, torch.cuda.Event, int, list[list[str]]]] = field(default_factory=list)

    def check(self, losses: list[Tensor], rows: list[list[str]], step: int, optimizer: torch.optim.Optimizer) -> None:
        """Before the optimiser takes its step.

        Raises:
            RunError: a loss of this step (CPU) or of an earlier one (GPU) is no number.
        """
        bad = ~torch.isfinite(torch.stack([loss.detach() for loss in losses]))
        if not bad.is_cuda or not all(group.get("fused") for group in optimizer.param_groups):
            refuse(bad, rows, step)
            return
        self.read()
        optimizer.found_inf = bad.any().float()  # type: ignore[attr-defined]
        flags = torch.empty(bad.shape, dtype=torch.bool, pin_memory=True)
        flags.copy_(bad, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self._coming.append((flags, event, step, rows))

    def read(self) -> None:
        """Raises for what came over since; waits for no more than the step before this one."""
        while self._coming:
            flags, event, step, rows = self._coming.pop(0)
            event.synchronize()
            refuse(flags, rows, step)


def refuse(bad: Tensor, rows: list[list[str]], step: int) -> None:
    for number in bad.nonzero()[:, 0].tolist():
        names = ", ".join(rows[number][:8]) + (", …" if len(rows[number]) > 8 else "")
        raise RunError(
            f"step {step}: the loss is no number in the pack of rows {names}; the step was not taken. "
            "Look at them with `texlens data show`, or lower the learning rate"
        )
