"""Rows a second and peak memory of validate and plan on many rows, what a kill costs, and how soon training starts.

    python benchmarks/data_checks.py [--rows 100000] [--folder DIR] [--write benchmarks/results]

The rows: gray PNGs of 48x32 to 200x60 pixels of random ink, each another (about 0.8 KB), with LaTeX of its own; made
once in DIR as parquet. Each stage is a command as a user runs it, in processes of its own and with a cache of its own;
rows a second count start-up and end. `cpu_seconds` sums all processes: on a busy machine it, and not the wall clock,
shows the cost of a stage. Memory is the largest resident set of the command's own process and of one of its children.

validate          all checks but rendering; nothing known before
validate, killed  the same, killed when half of that time has gone
validate, resumed what was left
validate, again   everything known
plan              headers alone
start             `texlens train` with the nano model until its first step is in metrics.jsonl
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from data_pipeline import _picture, _text
from result import write_result

SHARD_ROWS = 10_000
RECIPE = Path(__file__).parents[1] / "src" / "texlens" / "recipes" / "nano_latex-ocr_lora.yaml"


def make_rows(at: Path, rows: int) -> None:
    """One split of parquet, unless it stands there from an earlier run."""
    if (at / "rows").is_file() and (at / "rows").read_text() == str(rows):
        return
    shutil.rmtree(at, ignore_errors=True)
    at.mkdir(parents=True)
    draw = random.Random(0)
    shards = -(-rows // SHARD_ROWS)
    for shard in range(shards):
        numbers = range(shard * SHARD_ROWS, min(rows, (shard + 1) * SHARD_ROWS))
        _write(at / f"train-{shard:05d}-of-{shards:05d}.parquet", numbers, draw)
    (at / "rows").write_text(str(rows))


def _write(path: Path, numbers: range, draw: random.Random) -> None:
    images = [{"bytes": _picture(row), "path": f"{row}.png"} for row in numbers]
    pq.write_table(pa.table({"image": images, "text": [_text(draw, row) for row in numbers]}), path)


def measured(name: str, arguments: list[str], rows: int, cache: Path, *, kill_after_s: float | None = None) -> dict:
    began = time.perf_counter()
    child = _started(arguments, cache)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.killpg(child.pid, signal.SIGKILL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return _measurement(name, time.perf_counter() - began, used, rows, child.returncode)


def start(folder: Path, rows: int, cache: Path) -> dict:
    """Seconds until the first step's line is in metrics.jsonl; the step itself is in them."""
    with tempfile.TemporaryDirectory() as output:
        changes = {
            "data.path": folder,
            "data.splits.validation": "null",
            "data.splits.test": "null",
            "train.epochs": "null",
            "train.steps": 1,
            "train.logging.every_steps": 1,
            "output": output,
        }
        began = time.perf_counter()
        settings = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
        child = _started(["train", str(RECIPE), *settings], cache)
        while child.poll() is None and not list(Path(output).glob("*/metrics.jsonl")):
            time.sleep(0.02)
        seconds = time.perf_counter() - began
        _, status, used = os.wait4(child.pid, 0) if child.returncode is None else (0, child.returncode, None)
        measurement = _measurement("start", seconds, used, rows, os.waitstatus_to_exitcode(status))
    return {key: value for key, value in measurement.items() if key != "rows_per_second"}


def _started(arguments: list[str], cache: Path) -> subprocess.Popen:
    environment = os.environ | {"TEXLENS_CACHE": str(cache)}
    command = [sys.executable, "-m", "texlens", *arguments]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def _measurement(name: str, seconds: float, used, rows: int, code: int) -> dict:
    return {
        "stage": name,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "rows_per_second": round(rows / seconds),
        "peak_memory_gib": round(used.ru_maxrss * 1024 / 2**30, 3),
        "exit_code": code,
        "load_average": round(os.getloadavg()[0], 1),
    }


def stages(at: Path, rows: int, aside: Path):
    validate = ["data", "validate", str(at), "--no-render"]
    whole = measured("validate", validate, rows, aside / "first")
    yield whole
    yield measured("validate, killed", validate, rows, aside / "second", kill_after_s=whole["seconds"] / 2)
    yield measured("validate, resumed", validate, rows, aside / "second")
    yield measured("validate, again", validate, rows, aside / "second")
    yield measured("plan", ["data", "plan", str(at)], rows, aside / "first")
    yield start(at, rows, aside / "first")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="rows kept for the next run; default: one that is removed")
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as aside:
        at = arguments.folder or Path(aside) / "rows"
        make_rows(at, arguments.rows)
        done = []
        for stage in stages(at, arguments.rows, Path(aside)):
            done.append(stage)
            print(json.dumps(stage), flush=True)
    if arguments.write:
        command = f"python benchmarks/data_checks.py --rows {arguments.rows} --write benchmarks/results"
        figures = {"rows": arguments.rows, "stages": done}
        write_result(arguments.write, "data checks", command, ("pyarrow", "pillow", "numpy"), figures)


if __name__ == "__main__":
    main()
