"""Reading on one GPU, all rows of the table: each step is a command of its own, results are written as they come.

    python benchmarks/reading_series.py --output FOLDER --seconds 300
    python benchmarks/reading_series.py --output FOLDER --steps 8b 30b
    python benchmarks/reading_series.py --output FOLDER --tiny     # narrow models on the CPU: only whether they run

A step that the time left is too short for is left out and named. Each writes FOLDER/NAME.json and FOLDER/NAME.log.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
ENGINE, COMMANDS = "reading_gpu.py", "reading_commands.py"


class Step(NamedTuple):
    """A script with its arguments, and the seconds it takes at most."""

    script: str
    arguments: str
    most_s: int


def of_size(model: str, most_s: int) -> Step:
    return Step(ENGINE, f"--model {model} --arms bulk --rows 512", most_s)


def in_few_bits(kind: str) -> Step:
    return Step(ENGINE, f"--quantize {kind} --arms bulk prefill --rows 512", 60)


STEPS = {
    "4b": Step(ENGINE, "--arms bulk profile prefill single", 90),
    "commands": Step(COMMANDS, "--commands compare serve --compares first profiled", 240),
    "bulk": Step(ENGINE, "--arms bulk prefill", 60),
    "built": Step(COMMANDS, "--commands compare serve --compares built", 140),
    "sampled": Step(COMMANDS, "--commands compare serve --compares sampled --sample-server", 150),
    "30b": of_size("Qwen3-VL-30B-A3B-Instruct", 120),
    "8b": of_size("Qwen3-VL-8B-Instruct", 70),
    "fp8": in_few_bits("fp8"),
    "bf16": in_few_bits("none"),
    "2b": of_size("Qwen2-VL-2B-Instruct", 60),
    "7b": of_size("Qwen2.5-VL-7B-Instruct", 70),
    "train": Step(COMMANDS, "--commands train read", 150),
    "steps": Step(ENGINE, "--arms steps clients", 90),
    "compare": Step(COMMANDS, "--commands compare", 150),
    "serve": Step(COMMANDS, "--commands serve", 100),
    "nf4": in_few_bits("nf4"),
    "int8": in_few_bits("int8"),
    "stock": Step(ENGINE, "--arms bulk stock", 110),
    "512": Step(ENGINE, "--arms bulk --slots 512", 60),
}


def run(name: str, step: Step, options: argparse.Namespace) -> int:
    """The exit code of a step, -9 if it took too long."""
    command = [sys.executable, str(HERE / step.script), *step.arguments.split()]
    command += ["--output", str(options.output / f"{name}.json"), *(["--tiny"] if options.tiny else [])]
    command += ["--logs", str(options.output)] if step.script == COMMANDS else []
    with (options.output / f"{name}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            return process.wait(step.most_s if not options.tiny else None)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--seconds", type=float, default=3_600)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for name in options.steps:
        left_s = options.seconds - (time.monotonic() - began)
        if left_s < 30:
            print(f"{name}: left out, {left_s:.0f} s are left", flush=True)
            continue
        step = STEPS[name]._replace(most_s=min(STEPS[name].most_s, int(left_s)))
        code = run(name, step, options)
        print(f"{name}: exit code {code} after {time.monotonic() - began:.0f} s in all", flush=True)
        lines = (options.output / f"{name}.log").read_text(errors="replace").splitlines()
        print(
            "\n".join(line[:1500] for line in lines if line.startswith(tuple("abcdefghijklmnopqrstuvwxyz0123456789 ")))
        )


if __name__ == "__main__":
    main()
