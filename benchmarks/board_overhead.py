"""What an open board costs a training.

    python benchmarks/board_overhead.py --output benchmarks/results/board-overhead_cpu_DATE.json
    python benchmarks/board_overhead.py --train nano_latex-ocr_lora --set data.limit=2 --pairs 10

Without `--train`: processor time of a board while one page of a run (2,000 measurements, 4,000 log lines) is open, and
time that a training spends on what it writes for those who watch. With it: a training, in whose run a page is open in
every second window; in the others the board is suspended. Neighboring windows are compared by the processor time of
the training process for a step, which other programs disturb less than rows per second. With as many rows as a batch
has, every step is the same work.
"""

import argparse
import json
import platform
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil

from texlens.core.run_folder import RunFolder
from texlens.training.logging.gpu_sensors import gpu_sensors
from texlens.training.logging.run_log import RunLog

POLL_S = 0.02
BATCH_ROWS = 2
WARM_UP_STEPS = 3
PAGE_PERIOD_S = 2.0
"""An open page of a run asks for state, measurements, log and output this often."""


class OpenPage:
    """The requests of `web/pages/run.js`."""

    def __init__(self, address: str, token: str, run: str):
        self._client = httpx.Client(base_url=f"{address}/api/run/{run}", params={"token": token}, timeout=60)
        self._metrics = self._log = ""

    def refresh(self) -> None:
        self._client.get("")
        self._metrics = self._client.get("/metrics", params={"position": self._metrics}).json()["position"]
        self._log = self._client.get("/log", params={"position": self._log}).json()["position"]

    def stay(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            self.refresh()
            time.sleep(max(0.0, min(until, now + PAGE_PERIOD_S) - time.monotonic()))


def start_board(folder: Path) -> tuple[subprocess.Popen, str, str]:
    command = [sys.executable, "-m", "texlens", "board", str(folder), "--port", "0", "--no-browser"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    match = re.search(r"(http://\S+)/\?token=(\S+)", process.stderr.readline()) if process.stderr else None
    if match is None:
        raise SystemExit("the board did not start")
    return process, match[1], match[2]


def write_run(folder: Path) -> None:
    """As a training of 2,000 measurements leaves it."""
    run = RunFolder.create(folder, "long", "model: {path: nano}\ndata: {path: demo}\n")
    rows = [{"step": step, "loss": 1.0 / step, "grad_norm": 0.5, "samples_per_s": 100.0} for step in range(1, 2001)]
    run.metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run.log.write_text("2026-11-30T17:44:22+00:00  step 10/2000  loss 1.2500\n" * 4000)


def processor_share(seconds: float) -> float:
    """Of one core, that the board uses while a page is open."""
    with tempfile.TemporaryDirectory() as folder:
        write_run(Path(folder))
        board, address, token = start_board(Path(folder))
        try:
            page = OpenPage(address, token, "long")
            page.refresh()
            process = psutil.Process(board.pid)
            before = sum(process.cpu_times()[:2])
            page.stay(seconds)
            return (sum(process.cpu_times()[:2]) - before) / seconds
        finally:
            board.terminate()
            board.wait()


def milliseconds_a_measurement(count: int = 500) -> float:
    """What the training itself spends for those who watch: a line of the log and the GPU's sensors."""
    with tempfile.TemporaryDirectory() as folder:
        log = RunLog(Path(folder) / "log.txt")
        start = time.perf_counter()
        for step in range(count):
            gpu_sensors()
            log.write(f"step {step}/{count}  loss 1.2500")
        return 1000 * (time.perf_counter() - start) / count


@dataclass(frozen=True)
class Window:
    """Some steps of a training: processor time of its process and of the board's, and rows per second of the clock."""

    steps: int
    training_s: float
    board_s: float
    rows_per_s: float

    @property
    def training_ms_a_step(self) -> float:
        return 1000 * self.training_s / self.steps


class WatchedTraining:
    """A training and the steps that its measurements file shows."""

    def __init__(self, process: subprocess.Popen, run: Path):
        self.process, self._metrics = psutil.Process(process.pid), run / "metrics.jsonl"
        self._position, self._last = 0, {}

    def last(self) -> dict:
        """The newest measurement; only what was appended is read."""
        if self._metrics.is_file():
            with self._metrics.open("rb") as file:
                file.seek(self._position)
                while (line := file.readline()).endswith(b"\n"):
                    self._position += len(line)
                    row = json.loads(line)
                    self._last = row if "samples_per_s" in row else self._last
        return self._last

    def next_step(self) -> dict:
        """Waits for the end of the step that is under way."""
        before = self.last().get("step", 0)
        while (row := self.last()).get("step", 0) == before:
            if self.process.status() == psutil.STATUS_ZOMBIE:
                raise SystemExit("the training ended before the windows; give it more steps")
            time.sleep(POLL_S)
        return row

    def window(self, board: psutil.Process, pass_time: Callable[[], None]) -> Window:
        first, start = self.next_step(), time.monotonic()
        training, serving = _processor_s(self.process), _processor_s(board)
        pass_time()
        last, end = self.next_step(), time.monotonic()
        steps = last["step"] - first["step"]
        return Window(
            steps,
            _processor_s(self.process) - training,
            _processor_s(board) - serving,
            steps * BATCH_ROWS / (end - start),
        )


def _processor_s(process: psutil.Process) -> float:
    return sum(process.cpu_times()[:2])


def paired_windows(recipe: str, settings: list[str], pairs: int, window_s: float) -> dict:
    """A training's windows without a board and with an open page, in turn."""
    fixed = [f"train.batch_size={BATCH_ROWS}", "train.logging.every_steps=1", "train.epochs=null", "train.steps=100000"]
    fixed += ["train.validation.every_steps=100000", "train.checkpoints.every_steps=100000"]
    with tempfile.TemporaryDirectory() as folder:
        board, address, token = start_board(Path(folder))
        sets = [part for each in [f"output={folder}", "name=run", *fixed, *settings] for part in ("--set", each)]
        training = subprocess.Popen([sys.executable, "-m", "texlens", "train", recipe, *sets])
        watched, served = WatchedTraining(training, Path(folder) / "run"), psutil.Process(board.pid)
        windows: dict[bool, list[Window]] = {False: [], True: []}
        try:
            for _ in range(WARM_UP_STEPS):
                watched.next_step()
            page = OpenPage(address, token, "run")
            for number in range(2 * pairs):
                is_open = number % 4 in (1, 2)  # without, with, with, without: a slow drift falls on both
                served.resume() if is_open else served.suspend()
                pause = (lambda: page.stay(window_s)) if is_open else (lambda: time.sleep(window_s))
                windows[is_open].append(watched.window(served, pause))
        finally:
            served.resume()
            training.kill(), training.wait(), board.terminate(), board.wait()
    return _compared(windows[False], windows[True])


def _compared(without: list[Window], watched: list[Window]) -> dict:
    """In percent of the time of a step without a board; the interval is of pairs drawn again (10,000 times, 95%)."""
    ratios = [b.training_ms_a_step / a.training_ms_a_step for a, b in zip(without, watched, strict=True)]
    generator = random.Random(0)
    medians = sorted(statistics.median(generator.choices(ratios, k=len(ratios))) for _ in range(10_000))
    share = sum(each.board_s for each in watched) / sum(each.training_s for each in watched)
    return {
        "training_ms_a_step_without": [round(each.training_ms_a_step, 2) for each in without],
        "training_ms_a_step_with": [round(each.training_ms_a_step, 2) for each in watched],
        "steps": [each.steps for pair in zip(without, watched, strict=True) for each in pair],
        "slower_percent_median": round(100 * (statistics.median(ratios) - 1), 3),
        "slower_percent_interval": [round(100 * (medians[at] - 1), 3) for at in (250, 9750)],
        "board_percent_of_training": round(100 * share, 3),
        "rows_per_s_without": [round(each.rows_per_s, 3) for each in without],
        "rows_per_s_with": [round(each.rows_per_s, 3) for each in watched],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--train", help="a recipe or run file")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--window", type=float, default=20.0)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    result: dict = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python", *sys.argv]),
        "hardware": f"{platform.machine()}, {psutil.cpu_count()} cores",
        "board_share_of_a_core": round(processor_share(options.seconds), 5),
        "training_ms_a_measurement": round(milliseconds_a_measurement(), 4),
    }
    if options.train:
        result["training"] = paired_windows(options.train, options.settings, options.pairs, options.window)
    print(json.dumps(result, indent=1))
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
