"""Seconds from `texlens train` to the end of the first step, on a random full-size checkpoint in the file cache.

    python benchmarks/first_step.py --output benchmarks/results/first-step_h200_DATE.json
    python benchmarks/first_step.py --tiny                     # a model of two layers on a CPU

The checkpoint has just been written, so the file cache has it. The command runs twice: kernels are built by the first
run, into an empty cache of Triton and torch, and taken from it by the second. It runs in a pseudo-terminal. Reported
are the seconds until something is on the terminal, each line with its second, the longest silence before the first
step, the seconds until the first step's loss is in metrics.jsonl, and the whole run of two steps. Lines are printed as
they come, and a run that takes more than `--limit-s` is ended and reported as far as it came. `kernels_s` is the
time from "building the kernels" to "training", `rest_of_first_step_s` that from there to the first loss, in which
kernels that depend on the sizes of the pack are built too. Goals: 25 s to the first step, 20 s of kernels, 3 s from the
cache.
"""

import argparse
import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import fast_path_end_to_end as end_to_end
import torch
import yaml
from fast_path_rows import base_model, settings_of

from texlens.models.bundled import NANO_FOLDER
from texlens.models.processor import load_tokenizer

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "src" / "texlens" / "recipes" / "qwen3-vl-4b_latex-ocr_lora.yaml"
ROWS = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="Qwen3-VL-4B-Instruct")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--limit-s", type=float, default=120, help="of each of the two runs")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    has_gpu = torch.cuda.is_available()
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        began = time.monotonic()
        checkpoint, data = written(at, options)
        report = {
            "command": f"python benchmarks/first_step.py {' '.join(sys.argv[1:])}".strip(),
            "date": datetime.now(UTC).date().isoformat(),
            "device": torch.cuda.get_device_name() if has_gpu else "cpu",
            "torch": torch.__version__,
            "model": options.model,
            "checkpoint_gib": round(sum(file.stat().st_size for file in checkpoint.iterdir()) / 2**30, 2),
            "written_s": round(time.monotonic() - began, 1),
            "runs": {},
        }
        print(f"written in {report['written_s']} s", flush=True)
        for name in ("kernels built", "kernels from the cache"):
            report["runs"][name] = run(at / name.replace(" ", "-"), checkpoint, data, at / "kernels", options.limit_s)
            print(name, json.dumps(report["runs"][name]), flush=True)
            if options.output:
                options.output.write_text(json.dumps(report, indent=1) + "\n")


def written(folder: Path, options) -> tuple[Path, Path]:
    """A checkpoint with random weights, and rows in parquet."""
    settings = SimpleNamespace(model=options.model, rows=ROWS, steps=1, set=[], tiny=options.tiny)
    config = end_to_end.prepare_folder(folder, settings)
    checkpoint = Path(config.model.path)
    model_settings = settings_of(options.model, options.tiny)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer, shipped = load_tokenizer(NANO_FOLDER), (checkpoint / "config.json").read_text()
    model = base_model(model_settings, device)
    model.save_pretrained(checkpoint, max_shard_size="3GB")
    (checkpoint / "config.json").write_text(shipped)
    tokenizer.save_pretrained(checkpoint)
    del model
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return checkpoint, folder / "data"


def run(output: Path, checkpoint: Path, data: Path, kernels: Path, limit_s: float) -> dict:
    """The command in a process of its own, with what it prints; it is ended after `limit_s`."""
    recipe = yaml.safe_load(RECIPE.read_text())
    values = {
        "name": "first",
        "output": str(output),
        "model": {"path": str(checkpoint), "min_pixels": 4096},
        "data": {"path": str(data), "splits": {"validation": None, "test": None}, "prompt": recipe["data"]["prompt"]},
        "adapter": recipe["adapter"],
        "train": {"steps": 2, "batch_size": recipe["train"]["batch_size"], "logging": {"every_steps": 1}},
    }
    output.mkdir()
    file = output / "run.yaml"
    file.write_text(yaml.safe_dump(values))
    environment = os.environ | {
        "TRITON_CACHE_DIR": str(kernels / "triton"),
        "TORCHINDUCTOR_CACHE_DIR": str(kernels / "inductor"),
        "TERM": "xterm",
        "COLUMNS": "160",
    }
    began = time.monotonic()
    command = [sys.executable, "-m", "texlens", "train", str(file), "--no-compare", "--no-calibrate"]
    ours, theirs = pty.openpty()
    child = subprocess.Popen(command, env=environment, stdout=theirs, stderr=theirs)
    os.close(theirs)
    pieces: list[tuple[float, str]] = []
    reader = threading.Thread(target=_read, args=(ours, began, pieces))
    reader.start()
    first_step_s, printed, is_cut = None, 0, False
    while child.poll() is None:
        lines = _lines(list(pieces))
        for line in lines[printed:]:
            print(line, flush=True)
        printed = len(lines)
        if not is_cut and time.monotonic() - began > limit_s:
            is_cut = True
            child.terminate()
        if first_step_s is None and _has_first_loss(output):
            first_step_s = round(time.monotonic() - began, 2)
        time.sleep(0.02)
    reader.join()
    os.close(ours)
    times = [second for second, _ in pieces if first_step_s is None or second <= first_step_s]
    lines = _lines(pieces)
    kernels = _second_of("building the kernels", lines), _second_of("training", lines)
    return {
        "kernels_s": None if None in kernels else round(kernels[1] - kernels[0], 2),
        "rest_of_first_step_s": None if None in (kernels[1], first_step_s) else round(first_step_s - kernels[1], 2),
        "exit_code": child.returncode,
        "cut_after_s": limit_s if is_cut else None,
        "first_sign_s": times[0] if times else None,
        "first_step_s": first_step_s,
        "longest_silence_s": round(max((b - a for a, b in zip([0.0, *times], times, strict=False)), default=0.0), 2),
        "whole_s": round(time.monotonic() - began, 1),
        "lines": lines[:60],
    }


def _read(terminal: int, began: float, pieces: list[tuple[float, str]]) -> None:
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            return
        if not piece:
            return
        pieces.append((round(time.monotonic() - began, 2), piece.decode(errors="replace")))


def _lines(pieces: list[tuple[float, str]]) -> list[str]:
    """What was printed, with its second; a spinner once."""
    lines: list[str] = []
    for second, piece in pieces:
        for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", piece)):
            text = line.strip().lstrip("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ").partition(" ━")[0]
            if text and not any(known.endswith(text[:160]) for known in lines[-3:]):
                lines.append(f"{second:6.2f}  {text[:160]}")
    return lines


def _second_of(stage: str, lines: list[str]) -> float | None:
    return next((float(line.split()[0]) for line in lines if line.split(maxsplit=1)[1:] == [stage]), None)


def _has_first_loss(output: Path) -> bool:
    return any('"loss"' in file.read_text() for file in output.glob("*/metrics.jsonl"))


if __name__ == "__main__":
    main()
