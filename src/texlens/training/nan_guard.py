"""NaN or Inf losses never update the weights; the offending rows are reported without a device sync."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from texlens.core.errors import RunError
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext

MAX_ROWS_SHOWN = 8


@dataclass
class NanGuard:
    """Checks the loss of each pack of a step.

    On the CPU, and on a GPU with an optimizer other than PyTorch's fused ones and ours, a bad loss raises at once.
    These leave the parameters as they are where their `found_inf` is set on the device; the flags are copied to the
    host while the next step runs and raise there, or in `flush` after the last step and before a checkpoint. In a
    distributed run no process takes the step, and all raise the same error, whichever process had the pack.
    """

    context: DistributedContext = SINGLE_PROCESS
    _pending: list[tuple[Tensor, torch.cuda.Event, int, list[list[str]]]] = field(default_factory=list)

    def check(
        self, is_bad: Tensor, any_bad: Tensor, rows: list[list[str]], step: int, optimizer: torch.optim.Optimizer
    ) -> None:
        """Called before the optimizer's step.

        Args:
            is_bad: for each pack, whether its loss is NaN or Inf.
            any_bad: whether any pack of any process is.
            rows: ids of each pack's rows.

        Raises:
            RunError: a bad loss in this step (CPU) or in an earlier one (GPU).
        """
        flags = torch.cat([any_bad.reshape(1), is_bad])
        if not flags.is_cuda or not _reads_found_inf(optimizer):
            self._raise_if_bad(flags, rows, step)
            return
        self.flush()
        optimizer.found_inf = any_bad.float()  # type: ignore[attr-defined]
        on_host = torch.empty(flags.shape, dtype=torch.bool, pin_memory=True)
        on_host.copy_(flags, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self._pending.append((on_host, event, step, rows))

    def flush(self) -> None:
        """Raises for flags that have arrived since; waits for the previous step at most."""
        while self._pending:
            flags, event, step, rows = self._pending.pop(0)
            event.synchronize()
            self._raise_if_bad(flags, rows, step)

    def _raise_if_bad(self, flags: Tensor, rows: list[list[str]], step: int) -> None:
        any_bad, *is_bad = flags.tolist()
        if not any_bad:
            return
        bad_packs = [pack for pack, bad in zip(rows, is_bad, strict=True) if bad]
        first = next(pack for packs in self.context.all_gather(bad_packs) for pack in packs)
        names = ", ".join(first[:MAX_ROWS_SHOWN]) + (", …" if len(first) > MAX_ROWS_SHOWN else "")
        raise RunError(
            f"step {step}: the loss is NaN or Inf in the pack of rows {names}; the step was not taken. "
            "Look at them with `texlens data show`, or lower the learning rate"
        )


def _reads_found_inf(optimizer: torch.optim.Optimizer) -> bool:
    return getattr(optimizer, "reads_found_inf", False) or all(group.get("fused") for group in optimizer.param_groups)
