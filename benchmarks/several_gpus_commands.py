"""`texlens train` of the bundled model on one process and on two, with whole and with divided weights.

    python benchmarks/several_gpus_commands.py [--result FILE] [--tiny]

The same run file each time: the losses of each step beside those of one process, and that the divided run's adapter is
evaluated (`texlens evaluate` on one GPU). On GPUs the two processes meet through NCCL.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUN = """
model: {path: nano}
data: {path: demo, splits: {train: "train[:64]", validation: "validation[:8]", test: "test[:8]"}}
adapter: {rank: 8, alpha: 8, dropout: 0.0}
train:
  steps: STEPS
  batch_size: 16
  gradient_accumulation: 1
  checkpoints: {every_steps: 4}
  validation: {every_steps: 4, generation_rows: 4}
  logging: {every_steps: 1}
"""
RUNS = (
    ("one", 1, ()),
    ("replicated", 2, ()),
    ("divided", 2, ("--set", "train.parallel.weights=shard")),
)
LIMIT_S = 100.0
"""Of a command; a CPU that others use too gets more."""
CPU_PATIENCE = 4


def main() -> None:
    options = _options()
    report = {"runs": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "run.yaml").write_text(RUN.replace("STEPS", str(options.steps)))
        for run, processes, changes in RUNS:
            report["runs"][run] = trained(folder, run, processes, changes, options.limit)
            options.result and options.result.write_text(json.dumps(report))
        report["evaluated"] = evaluated(folder / "runs/divided", options.limit)
    single = report["runs"]["one"].get("losses", [])
    for figures in report["runs"].values():
        pairs = zip(figures.get("losses", []), single, strict=False)
        figures["largest_difference"] = max((abs(a / b - 1) for a, b in pairs), default=None)
    if options.result:
        options.result.write_text(json.dumps(report))
    print(json.dumps(report, indent=1))


def trained(folder: Path, run: str, processes: int, changes: tuple[str, ...], limit_s: float) -> dict:
    began = time.monotonic()
    command = ["train", "run.yaml", "--no-compare", "--set", f"name={run}", *changes]
    done = texlens(folder, limit_s, *command, *(["--processes", str(processes)] if processes > 1 else []))
    record = folder / "runs" / run / "run.json"
    figures = {"exit_code": done.returncode, "seconds": round(time.monotonic() - began, 1)}
    if done.returncode or not record.exists():
        return {**figures, "stderr": done.stderr[-1500:]}
    metrics = [json.loads(line) for line in (record.parent / "metrics.jsonl").read_text().splitlines()]
    return {
        **figures,
        "engine": json.loads(record.read_text())["engine"],
        "losses": [row["loss"] for row in metrics if "loss" in row],
        "validation": [row["eval_loss"] for row in metrics if "eval_loss" in row],
    }


def evaluated(run: Path, limit_s: float) -> dict:
    done = texlens(run.parents[1], limit_s, "evaluate", str(run), "--split", "test")
    return {"exit_code": done.returncode, "stdout": done.stdout[-600:], "stderr": done.stderr[-600:]}


def texlens(folder: Path, limit_s: float, *arguments: str) -> subprocess.CompletedProcess:
    """The command, ended with the processes that it starts where it takes longer; its exit code is negative then."""
    environment = {**os.environ, "TEXLENS_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "texlens", *arguments]
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=stdout, stderr=stderr)
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            print(f"longer than {limit_s:.0f} s", file=stderr, flush=True)
            process.kill()  # the processes of a training end with the command that started them
        code = process.wait()
        texts = []
        for file in (stdout, stderr):
            file.seek(0)
            texts.append(file.read())
    return subprocess.CompletedProcess(command, code, *texts)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--tiny", action="store_true", help="fewer steps")
    parser.add_argument("--result", type=Path)
    options = parser.parse_args()
    options.limit = LIMIT_S * (CPU_PATIENCE if options.tiny else 1)
    if options.tiny:
        options.steps = 2
    return options


if __name__ == "__main__":
    main()
