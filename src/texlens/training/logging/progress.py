"""Progress in the terminal: a bar, or a line per measurement where the output is no terminal."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers.trainer_callback import TrainerCallback

from texlens.core.language import translated
from texlens.training.logging.throughput import ThroughputMeter


class ProgressBar(TrainerCallback):
    """Loss, rates, memory and time left; `log` gets the same as lines."""

    def __init__(self, throughput: ThroughputMeter, console: Console, log: Callable[[str], None] = lambda line: None):
        self.throughput, self.console, self._log = throughput, console, log
        self._bar: Progress | None = None
        self._text = ""

    def on_train_begin(self, args, state, control, **kwargs):
        if not state.is_world_process_zero:
            return
        self._start_time = time.monotonic()
        self._first_step = state.global_step
        self._rows, self._tokens = self.throughput.rows, self.throughput.tokens
        if self.console.is_terminal:
            self._bar = _progress(self.console)
            self._task = self._bar.add_task(
                translated("training"), total=state.max_steps, completed=state.global_step, text=""
            )
            self._bar.start()

    def on_step_end(self, args, state, control, **kwargs):
        if self._bar:
            self._bar.update(self._task, completed=state.global_step, text=self._text)

    def on_log(self, args, state, control, logs=None, **kwargs):
        logs = logs or {}
        if not state.is_world_process_zero or not {"loss", "eval_loss"} & logs.keys():
            return
        if "eval_loss" in logs:
            line = f"step {state.global_step}: validation loss {logs['eval_loss']:.4f}{_scores(logs)}"
            self.console.print(line)
            self._log(line)
            return
        self._text = f"loss {logs['loss']:.4f}  {self._rates()}"
        seconds = (time.monotonic() - self._start_time) * (state.max_steps - state.global_step)
        seconds /= max(state.global_step - self._first_step, 1)
        line = f"step {state.global_step}/{state.max_steps}  {self._text}  left {seconds:.0f} s"
        self._log(line)
        if not self._bar:
            self.console.print(line)

    def on_train_end(self, args, state, control, **kwargs):
        self.close()

    def close(self) -> None:
        """Also called where training ends with an error, so that the terminal's cursor is visible again."""
        if self._bar:
            self._bar.stop()

    def _rates(self) -> str:
        seconds = max(time.monotonic() - self._start_time, 1e-9)
        rows = (self.throughput.rows - self._rows) / seconds
        tokens = int(self.throughput.tokens - self._tokens) / seconds
        return f"{rows:.1f} samples/s  {tokens:,.0f} tokens/s  {self.throughput.memory_gib:.1f} GiB"


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn(translated("training")),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )


def _scores(logs: dict) -> str:
    scores = {
        name.removeprefix("eval_"): value
        for name, value in logs.items()
        if name.startswith("eval_") and name != "eval_loss"
    }
    return "".join(f", {name.replace('_', ' ')} {value:.1%}" for name, value in scores.items())
