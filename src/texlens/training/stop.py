"""Ends training before its last step, with a checkpoint: on SIGTERM and Ctrl-C, and when the time is over."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from transformers.trainer_callback import TrainerCallback

from texlens.core.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """`signal_number` is None until a signal arrives."""

    def __init__(self):
        self.signal_number: int | None = None

    @contextmanager
    def listening(self, announce: Callable[[str], None]) -> Iterator[None]:
        """Notes the first signal and lets the second one end the process; only in the main thread, where Python can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(number, frame) -> None:
            if self.signal_number is not None:
                raise Interrupted(128 + number)
            self.signal_number = number
            announce("stopping after this step, with a checkpoint; once more to stop at once")

        previous = {number: signal.signal(number, note) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


class TimeLimit(TrainerCallback):
    """Measures, saves a checkpoint and ends training after the step in which the time was over."""

    def __init__(self, minutes: float):
        self.seconds = 60 * minutes

    def on_train_begin(self, args, state, control, **kwargs):
        self._deadline = time.monotonic() + self.seconds

    def on_step_end(self, args, state, control, **kwargs):
        if time.monotonic() >= self._deadline:
            control.should_log = control.should_save = control.should_training_stop = True
            control.should_evaluate = args.eval_strategy != "no"


class StopOnRequest(TrainerCallback):
    """Saves a checkpoint and ends training after the step in which a signal arrived."""

    def __init__(self, request: StopRequest):
        self.request = request

    def on_step_end(self, args, state, control, **kwargs):
        self._apply(control)

    def on_evaluate(self, args, state, control, **kwargs):
        self._apply(control)

    def _apply(self, control) -> None:
        if self.request.signal_number is not None:
            control.should_save = control.should_training_stop = True
