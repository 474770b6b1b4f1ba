"""A loss that is no number never reaches the weights, and its rows are named, without waiting for a GPU."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from texlens.core.errors import RunError
from texlens.train.distributed.context import ALONE, Processes


@dataclass
class NanGuard:
    """Looks at the loss of each pack of a step.

    On the CPU a bad loss raises at once, and so it does on a GPU with an optimizer that is not PyTorch's fused one.
    Those leave the weights alone where their `found_inf` is set, on the device itself; the flags come over while the
    next step runs, and raise there, or in `read` after the last one. Of several `processes` none takes the step, and
    all raise the same, whoever had the pack.
    """

    processes: Processes = ALONE
    _coming: list[tuple[Tensor, torch.cuda.Event, int, list[list[str]]]] = field(default_factory=list)

    def check(
        self, bad: Tensor, any_bad: Tensor, rows: list[list[str]], step: int, optimizer: torch.optim.Optimizer
    ) -> None:
        """Before the optimizer takes its step.

        Args:
            bad: whether the loss of each pack is no number.
            any_bad: whether one is in any process.

        Raises:
            RunError: a loss of this step (CPU) or of an earlier one (GPU) is no number.
        """
        flags = torch.cat([any_bad.reshape(1), bad])
        if not flags.is_cuda or not all(group.get("fused") for group in optimizer.param_groups):
            self._refuse(flags, rows, step)
            return
        self.read()
        optimizer.found_inf = any_bad.float()  # type: ignore[attr-defined]
        arriving = torch.empty(flags.shape, dtype=torch.bool, pin_memory=True)
        arriving.copy_(flags, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self._coming.append((arriving, event, step, rows))

    def read(self) -> None:
        """Raises for what came over since; waits for no more than the step before this one."""
        while self._coming:
            flags, event, step, rows = self._coming.pop(0)
            event.synchronize()
            self._refuse(flags, rows, step)

    def _refuse(self, flags: Tensor, rows: list[list[str]], step: int) -> None:
        any_bad, *bad = flags.tolist()
        if not any_bad:
            return
        packs = [pack for pack, is_bad in zip(rows, bad, strict=True) if is_bad]
        first = next(pack for packs in self.processes.gather(packs) for pack in packs)
        names = ", ".join(first[:8]) + (", …" if len(first) > 8 else "")
        raise RunError(
            f"step {step}: the loss is no number in the pack of rows {names}; the step was not taken. "
            "Look at them with `texlens data show`, or lower the learning rate"
        )
