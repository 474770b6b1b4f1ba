"""Measurements in metrics.jsonl, one line each."""

import json
from pathlib import Path

from transformers.trainer_callback import TrainerCallback

from texlens.core.errors import RunError
from texlens.core.files import write_text
from texlens.training.logging.gpu_sensors import gpu_sensors
from texlens.training.logging.throughput import ThroughputMeter

STEP_MEASUREMENTS = ("loss", "grad_norm", "learning_rate")
OBJECTIVE = "objective_"
"""Prefix of what an objective measures beside its loss."""


class MetricsLog(TrainerCallback):
    """Appends every measurement to metrics.jsonl."""

    def __init__(self, path: Path, throughput: ThroughputMeter):
        self.path, self.throughput = path, throughput

    def on_train_begin(self, args, state, control, **kwargs):
        self.throughput.start()
        if state.is_world_process_zero:
            drop_lines_after(self.path, state.global_step)

    def on_step_end(self, args, state, control, **kwargs):
        """The last step is logged whatever the interval, so that a short run has a measurement too."""
        if state.global_step >= state.max_steps:
            control.should_log = True

    def on_log(self, args, state, control, logs=None, **kwargs):
        row = {
            name: float(f"{value:.8g}") if name == "learning_rate" else round(value, 8)
            for name, value in (logs or {}).items()
            if name in STEP_MEASUREMENTS or name.startswith(("eval_", OBJECTIVE))
        }
        if not row or not state.is_world_process_zero:
            return
        if "loss" in row:
            row |= self.throughput.measure() | gpu_sensors()
        append_line(self.path, {"step": state.global_step, "epoch": round(state.epoch or 0.0, 4), **row})

    def on_evaluate(self, args, state, control, **kwargs):
        self.throughput.start()


def drop_lines_after(path: Path, step: int) -> None:
    """A resumed run measures the steps after its checkpoint again."""
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    write_text(path, "".join(f"{line}\n" for line in lines if _is_up_to(line, step)))


def append_line(path: Path, row: dict) -> None:
    """
    Raises:
        RunError: the run folder is gone.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    except FileNotFoundError:
        raise RunError(f"{path.parent}: the run folder was deleted or moved while the run was going on") from None


def _is_up_to(line: str, step: int) -> bool:
    """False for a line that a kill cut short, or that holds no measurement."""
    try:
        row = json.loads(line)
    except ValueError:
        return False
    return isinstance(row, dict) and isinstance(row.get("step"), int) and row["step"] <= step
