"""What is left to measure of training's recipes on one GPU: each step is a command of its own, results are written as
they come.

    python benchmarks/recipes_series.py --output FOLDER --seconds 450
    python benchmarks/recipes_series.py --output FOLDER --steps rows first
    python benchmarks/recipes_series.py --output FOLDER --steps checkpoint unsloth --unsloth-site FOLDER
    python benchmarks/recipes_series.py --output FOLDER --tiny        # small models on the CPU: only whether they run

A step that the time left is too short for is left out and named. Each writes FOLDER/NAME.json and FOLDER/NAME.log,
`rows` a trace too. The packages of Unsloth, which ask for other versions, are in a folder that its step alone sees.
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
CHECKPOINT = "unsloth-checkpoint"
TESTS = ("kernels/dropout", "kernels/dora", "kernels/swiglu", "kernels/lora_linear")
ROWS = (
    "4B r 16 dropout 0.05, 56",
    "with vision and merger",
    "4B r 16 fp8, 112",
    "7B r 16 with vision",
    "4B r 16, 112",
    "DoRA dropout 0.05, 24",
)
RECIPES = ("qwen3-vl-4b_latex-ocr_lora$", "qwen2-vl-2b_latex-ocr_lora$", "qwen3-vl-8b_latex-ocr_lora$")


class Step(NamedTuple):
    """A script with its arguments, and the seconds it takes at most."""

    script: str
    arguments: tuple[str, ...]
    most_s: int


def only(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for part in parts for word in ("--only", part))


STEPS = {
    "tests": Step("pytest", ("-q", *(f"tests/unit/{part}" for part in TESTS), "tests/gpu/test_pack_graphs.py"), 60),
    "rows": Step("recipes.py", ("--warm", "30", "--budget-s", "170", *only(ROWS)), 210),
    "first": Step("first_step.py", ("--limit-s", "60"), 150),
    "stock": Step("recipes.py", ("--stock", "--few-steps", "--budget-s", "110", *only(RECIPES)), 150),
    "tiles": Step("attention_kernels.py", ("--theme", "vision, width 64", "--part", "backward"), 60),
    "checkpoint": Step("fast_path_peers.py", ("--build",), 40),
    "unsloth": Step("fast_path_peers.py", ("--arm", "Unsloth, no checkpointing, 32"), 170),
}
"""`checkpoint` writes what `unsloth` reads."""
DEFAULT = ("tests", "rows", "first", "stock", "tiles")


def run(name: str, step: Step, options: argparse.Namespace) -> int:
    """The exit code of a step, -9 if it took too long."""
    at = options.output
    if step.script == "pytest":
        command = [sys.executable, "-m", "pytest", *step.arguments]
    else:
        command = [sys.executable, str(HERE / step.script), *step.arguments, "--output", str(at / f"{name}.json")]
        command += ["--tiny"] if options.tiny else []
    if step.script == "fast_path_peers.py":
        command += ["--folder", str(at / CHECKPOINT)]
    if name == "rows":
        command += ["--trace", str(at / "rows-trace.txt")]
    environment = dict(os.environ)
    if name == "unsloth" and options.unsloth_site:
        environment["PYTHONPATH"] = os.pathsep.join([str(options.unsloth_site), environment.get("PYTHONPATH", "")])
    with (at / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=environment, cwd=HERE.parent
        )
        try:
            return process.wait(step.most_s if not options.tiny else None)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(DEFAULT))
    parser.add_argument("--seconds", type=float, default=3_600)
    parser.add_argument("--unsloth-site", type=Path, help="a folder with Unsloth's packages")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    options.output = options.output.resolve()
    options.output.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for name in options.steps:
        step, left = STEPS[name], options.seconds - (time.monotonic() - began)
        if left < step.most_s / 2 and not options.tiny:
            print(f"{name}: left out, {left:.0f} s are left of {step.most_s} s that it takes at most", flush=True)
            continue
        started = time.monotonic()
        code = run(name, step._replace(most_s=round(min(step.most_s, left))), options)
        print(f"{name}: exit code {code}, {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
