"""Ends training before its last step, with a checkpoint: on SIGTERM and Ctrl-C, and when the time is over."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from transformers.trainer_callback import TrainerCallback

from texlens.core.errors import Interrupted
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """`signal_number` is None until a signal arrives.

    Args:
        repeat_s: the same request again within this time is no second one: a terminal and the launching process may
            both send it.
    """

    def __init__(self, repeat_s: float = 0.0):
        self.signal_number: int | None = None
        self._repeat_s, self._arrived_at = repeat_s, 0.0

    @contextmanager
    def listening(self, announce: Callable[[str], None]) -> Iterator[None]:
        """Notes the first signal and lets the second one end the process; only in the main thread, where Python can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(number, frame) -> None:
            now = time.monotonic()
            if self.signal_number is not None and now - self._arrived_at < self._repeat_s:
                return
            if self.signal_number is not None:
                raise Interrupted(128 + number)
            self.signal_number, self._arrived_at = number, now
            announce("stopping after this step, with a checkpoint; once more to stop at once")

        previous = {number: signal.signal(number, note) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


class TimeLimit(TrainerCallback):
    """Measures, saves a checkpoint and ends training after the step in which the main process's time was over."""

    def __init__(self, minutes: float, context: DistributedContext = SINGLE_PROCESS):
        self.seconds, self.context = 60 * minutes, context

    def on_train_begin(self, args, state, control, **kwargs):
        self._deadline = time.monotonic() + self.seconds

    def on_step_end(self, args, state, control, **kwargs):
        if self.context.broadcast(lambda: time.monotonic() >= self._deadline):
            control.should_log = control.should_save = control.should_training_stop = True
            control.should_evaluate = args.eval_strategy != "no"


class StopOnRequest(TrainerCallback):
    """Saves a checkpoint and ends training after the step in which a signal arrived, in any of the processes."""

    def __init__(self, request: StopRequest, context: DistributedContext = SINGLE_PROCESS):
        self.request, self.context = request, context

    def on_step_end(self, args, state, control, **kwargs):
        if self.context.is_distributed:
            signals = [number for number in self.context.all_gather(self.request.signal_number) if number is not None]
            self.request.signal_number = signals[0] if signals else None
        self._apply(control)

    def on_evaluate(self, args, state, control, **kwargs):
        if not self.context.is_distributed:
            self._apply(control)

    def _apply(self, control) -> None:
        if self.request.signal_number is not None:
            control.should_save = control.should_training_stop = True
