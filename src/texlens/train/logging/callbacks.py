"""What watches a training: the line of metrics.jsonl, and the progress bar."""

import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers.trainer_callback import TrainerCallback

KEEP = ("loss", "grad_norm", "learning_rate")


@dataclass(frozen=True)
class Seen:
    """What a process trains on in a step. `tokens` may be a tensor on the GPU."""

    rows: int
    tokens: torch.Tensor | int

    @classmethod
    def of(cls, batch: dict) -> "Seen":
        if "packs" in batch:
            packs = batch["packs"]
            return cls(sum(len(pack["rows"]) for pack in packs), sum(pack["tokens"] for pack in packs))
        return cls(len(batch["input_ids"]), batch["attention_mask"].sum())

    def on_host(self) -> "Seen":
        """For other processes, on whose GPUs this one's tensors must not land."""
        return Seen(self.rows, int(self.tokens))


class Meter:
    """Counts rows and tokens as they are trained on, and each process's rows; tells their rate since the last reading,
    and the peak memory of the process that took most.

    Tokens on a GPU are brought over only when a reading is taken.
    """

    def __init__(self):
        self.rows_of: list[int] = []
        self.tokens: torch.Tensor | int = 0
        self._last = (time.monotonic(), 0, 0)
        self._memory_gib = 0.0

    @property
    def rows(self) -> int:
        return sum(self.rows_of)

    @property
    def memory_gib(self) -> float:
        return max(self._memory_gib, peak_memory_gib())

    def count(self, seen: Sequence[Seen], memory_gib: float = 0.0) -> None:
        """Takes what each process trains on, and what the others needed for it so far."""
        self.rows_of = self.rows_of or [0] * len(seen)
        self.rows_of = [rows + now.rows for rows, now in zip(self.rows_of, seen, strict=True)]
        self.tokens = self.tokens + sum(now.tokens for now in seen)
        self._memory_gib = max(self._memory_gib, memory_gib)

    def start(self) -> None:
        self._last = (time.monotonic(), self.rows, int(self.tokens))

    def read(self) -> dict[str, float]:
        now, rows, tokens = time.monotonic(), self.rows, int(self.tokens)
        then, old_rows, old_tokens = self._last
        self._last = (now, rows, tokens)
        spent = max(now - then, 1e-9)
        return {
            "samples_per_s": round((rows - old_rows) / spent, 2),
            "tokens_per_s": round((tokens - old_tokens) / spent, 1),
            "memory_gib": round(self.memory_gib, 3),
        }


def peak_memory_gib() -> float:
    """Peak of the GPU's allocated memory, or of this process's resident memory where there is no GPU."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / (2**30 if sys.platform == "darwin" else 2**20)


class MetricsLog(TrainerCallback):
    """Appends every measurement to metrics.jsonl."""

    def __init__(self, path: Path, meter: Meter):
        self.path, self.meter = path, meter

    def on_train_begin(self, args, state, control, **kwargs):
        self.meter.start()
        if state.is_world_process_zero:
            self._drop_after(state.global_step)

    def on_step_end(self, args, state, control, **kwargs):
        """The last step is measured whatever the interval, so that a short run has a measurement too."""
        if state.global_step >= state.max_steps:
            control.should_log = True

    def on_log(self, args, state, control, logs=None, **kwargs):
        row = {
            name: round(value, 8) for name, value in (logs or {}).items() if name in KEEP or name.startswith("eval_")
        }
        if not row or not state.is_world_process_zero:
            return
        if "loss" in row:
            row |= self.meter.read()
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": state.global_step, "epoch": round(state.epoch or 0.0, 4), **row}) + "\n")

    def on_evaluate(self, args, state, control, **kwargs):
        self.meter.start()

    def _drop_after(self, step: int) -> None:
        """Lines past the checkpoint that a resumed run goes on from would stand twice."""
        if not self.path.is_file():
            return
        kept = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if row["step"] <= step:
                kept.append(line + "\n")
        self.path.write_text("".join(kept), encoding="utf-8")


class ProgressBar(TrainerCallback):
    """A bar with loss, rate, memory and time left on a terminal; a line a measurement elsewhere."""

    def __init__(self, meter: Meter, console: Console):
        self.meter, self.console = meter, console
        self._bar: Progress | None = None
        self._text = ""

    def on_train_begin(self, args, state, control, **kwargs):
        if not state.is_world_process_zero:
            return
        self._began = time.monotonic()
        self._first_step = state.global_step
        self._rows, self._tokens = self.meter.rows, self.meter.tokens
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("training"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[text]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=self.console,
            )
            self._task = self._bar.add_task("training", total=state.max_steps, completed=state.global_step, text="")
            self._bar.start()

    def on_step_end(self, args, state, control, **kwargs):
        if self._bar:
            self._bar.update(self._task, completed=state.global_step, text=self._text)

    def on_log(self, args, state, control, logs=None, **kwargs):
        logs = logs or {}
        if not state.is_world_process_zero or not {"loss", "eval_loss"} & logs.keys():
            return
        if "eval_loss" in logs:
            scores = [
                f", {name.removeprefix('eval_').replace('_', ' ')} {value:.1%}"
                for name, value in logs.items()
                if name.startswith("eval_") and name != "eval_loss"
            ]
            self.console.print(f"step {state.global_step}: validation loss {logs['eval_loss']:.4f}{''.join(scores)}")
            return
        self._text = f"loss {logs['loss']:.4f}  {self._rates()}"
        if not self._bar:
            left = (time.monotonic() - self._began) * (state.max_steps - state.global_step)
            left /= max(state.global_step - self._first_step, 1)
            self.console.print(f"step {state.global_step}/{state.max_steps}  {self._text}  left {left:.0f} s")

    def on_train_end(self, args, state, control, **kwargs):
        if self._bar:
            self._bar.stop()

    def _rates(self) -> str:
        spent = max(time.monotonic() - self._began, 1e-9)
        rows = (self.meter.rows - self._rows) / spent
        tokens = int(self.meter.tokens - self._tokens) / spent
        return f"{rows:.1f} samples/s  {tokens:,.0f} tokens/s  {self.meter.memory_gib:.1f} GiB"
