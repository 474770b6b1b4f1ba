"""SIGTERM and Ctrl-C end training after the step under way, with a checkpoint."""

import signal
import threading
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
