"""What an open board costs a training.

    python benchmarks/board_overhead.py --output benchmarks/results/board-overhead_cpu_DATE.json
    python benchmarks/board_overhead.py --train qwen3-vl-4b_latex-ocr_lora --set model.path=… --pairs 6

Without `--train`: processor time of a board while one page of a run (2,000 measurements, 4,000 log lines) is open, and
time that a training spends on what it writes for those who watch. With it: a training, in whose run a page is open in
every second window; rows per second of neighboring windows are compared.
"""

import argparse
import json
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil

from texlens.core.run_folder import RunFolder
from texlens.training.logging.gpu_sensors import gpu_sensors
from texlens.training.logging.run_log import RunLog

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


def paired_windows(recipe: str, settings: list[str], pairs: int, window_s: float) -> dict:
    """Rows per second without and with a page, in windows that alternate within one training."""
    with tempfile.TemporaryDirectory() as folder:
        board, address, token = start_board(Path(folder))
        sets = [part for setting in [f"output={folder}", "name=run", *settings] for part in ("--set", setting)]
        training = subprocess.Popen([sys.executable, "-m", "texlens", "train", recipe, *sets])
        metrics = Path(folder) / "run" / "metrics.jsonl"
        try:
            while not metrics.is_file():
                time.sleep(1)
            page = OpenPage(address, token, "run")
            rates: dict[bool, list[float]] = {False: [], True: []}
            for window in range(2 * pairs):
                is_open = window % 2 == 1
                first = len(metrics.read_text().splitlines())
                page.stay(window_s) if is_open else time.sleep(window_s)
                rows = [json.loads(line) for line in metrics.read_text().splitlines()[first:]]
                rates[is_open].append(statistics.mean(row["samples_per_s"] for row in rows if "samples_per_s" in row))
        finally:
            training.terminate(), training.wait(), board.terminate(), board.wait()
    slower = [100 * (1 - opened / closed) for closed, opened in zip(rates[False], rates[True], strict=True)]
    return {"without": rates[False], "with": rates[True], "slower_percent_median": round(statistics.median(slower), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--train", help="a recipe or run file")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--pairs", type=int, default=6)
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
