"""Qwen3.5 on one GPU in one call: training beside Trainer + PEFT, and reading.

    python benchmarks/qwen3_5_gpu.py --output benchmarks/results/qwen3-5_h200_DATE.json [--trace FILE]
    python benchmarks/qwen3_5_gpu.py --unsloth-site FOLDER --skip "Trainer + PEFT"     # Unsloth too, from a folder
    python benchmarks/qwen3_5_gpu.py --tiny            # models of a few layers on the CPU

Random weights, LoRA r=16, frozen tower, rows of some 290 tokens. Each part is another benchmark of this folder in a
process of its own. Ours set up together, which compiles kernels and runs a few steps; then each has the GPU to itself
for what is timed, in the order of its worth. Trainer + PEFT, which would not fit beside them, loads its libraries
meanwhile; it runs with transformers' own PyTorch code of the delta rule in place of flash-linear-attention, which
refuses its backward pass on Hopper GPUs with today's Triton. Unsloth brings kernels of its own copy of
flash-linear-attention; it is compared where a folder with its packages is named. What the parts print is passed through
as it comes, with seconds since the start.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from texlens.models.bundled import bundled_config
from texlens.models.meta_model import build_config
from texlens.models.packed.memory import peak_of_pack

HERE = Path(__file__).parent
TOKENS = 16_384
PEER = "Trainer + PEFT, no checkpointing, 8"
UNSLOTH = ("Unsloth, no checkpointing, 32", "Unsloth, no checkpointing, 8")
"""The faster ones of its arms in `side_by_side.py`."""
BEGAN = time.monotonic()


def main() -> None:
    options = _options()
    report: dict = {
        "date": date.today().isoformat(),
        "command": f"python benchmarks/qwen3_5_gpu.py {' '.join(sys.argv[1:])}".strip(),
    }
    report["planned memory GiB"] = planned_memory(options.model)
    chosen = {name: command for name, command in commands(options).items() if name not in options.skip}
    paths = [str(options.unsloth_site), os.environ.get("PYTHONPATH", "")] if options.unsloth_site else []
    of_unsloth = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    parts = [
        Part(name, command, is_late=name not in ("training", "reading"), env=of_unsloth if name in UNSLOTH else None)
        for name, command in chosen.items()
    ]
    try:
        wait_until_all_are_warm(parts, options.set_up_s)
        for part in parts:
            report[part.name] = part.result(options.late_limit_s if part.name in UNSLOTH else options.limit_s)
            print_progress(part.name, json.dumps(report[part.name]))
            if options.output:
                options.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    finally:
        for part in parts:
            part.stop()


def commands(options) -> dict[str, list[str]]:
    """What is measured, most worth first."""
    model, tiny = ("--model", options.model), ("--tiny",) if options.tiny else ()
    trace = ("--trace", str(options.trace)) if options.trace else ()
    reading = ("--rows", "4") if options.tiny else ("--slots", str(options.slots))
    lines = {
        "training": ("fast_path.py", "--arm", "bf16, 16k tokens", *trace),
        "reading": ("reading_gpu.py", "--arms", "bulk", *reading),
        "Trainer + PEFT": ("fast_path_peers.py", "--arm", PEER, "--warm-up", "2", "--steps", "4", "--without", "fla"),
    }
    if options.unsloth_site:
        lines["checkpoint"] = ("fast_path_peers.py", "--build")
        few = ("--warm-up", "3", "--steps", "6", "--each")  # an arm compiles for a minute
        lines |= {arm: ("fast_path_peers.py", "--arm", arm, *few) for arm in UNSLOTH}
    return {
        name: [sys.executable, str(HERE / script), *arguments, *model, *tiny, "--gated"]
        for name, (script, *arguments) in lines.items()
    }


class Part:
    """A benchmark's process, which stops before what it times (`@warm`), or if it is late before it uses the GPU
    (`@ready`), until it is let on."""

    def __init__(self, name: str, command: list[str], *, is_late: bool, env: dict[str, str] | None = None):
        self.name, self.arguments, self.lines = name, command[1:], []
        self.stops_at = "@ready" if is_late else "@warm"
        self.is_warm, self.has_ended = threading.Event(), threading.Event()
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        more = {"start_new_session": True, "env": env}
        self.process = subprocess.Popen(command, text=True, errors="replace", **more, **streams)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            word = line.strip()
            print_progress(self.name, word)
            if word == self.stops_at:
                self.is_warm.set()
            elif word in ("@ready", "@warm"):
                self.let_on()
            else:
                self.lines.append(word)
        self.has_ended.set()

    @property
    def is_settled(self) -> bool:
        return self.is_warm.is_set() or self.has_ended.is_set()

    def let_on(self) -> None:
        with suppress(OSError):
            print(file=self.process.stdin, flush=True)

    def result(self, limit_s: float) -> dict:
        """Its JSON line, after it has had the GPU to itself."""
        if not self.is_settled:
            return {"arguments": self.arguments, "failed": "not ready in time", "output": self.lines[-30:]}
        self.let_on()
        self.has_ended.wait(limit_s)
        self.stop()
        results = [line for line in self.lines if line.startswith(('{"', 'bulk {"'))]
        if not results:
            return {"arguments": self.arguments, "failed": "no result", "output": self.lines[-30:]}
        last = results[-1]
        return {"arguments": self.arguments, **json.JSONDecoder().raw_decode(last[last.index("{") :])[0]}

    def stop(self) -> None:
        """Ends the process and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


def wait_until_all_are_warm(parts: list[Part], limit_s: float) -> None:
    """Those that are not in time are ended, so that they disturb no other."""
    while not all(part.is_settled for part in parts) and time.monotonic() - BEGAN < limit_s:
        time.sleep(0.1)
    for part in parts:
        if not part.is_settled:
            part.stop()


def print_progress(name: str, text: str) -> None:
    print(f"{time.monotonic() - BEGAN:6.1f} {name}: {text}", flush=True)


def planned_memory(model: str) -> dict:
    """Of a pack by what is recomputed, for comparison with the peak of the training steps."""
    config = build_config(bundled_config(model) or {}).text_config
    return {kind: round(peak_of_pack(config, kind, TOKENS, TOKENS // 4) / 2**30, 2) for kind in ("none", "mlp", "full")}


def _options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="Qwen3.5-4B")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--trace", type=Path, help="a file for the kernels of a training step")
    parser.add_argument("--skip", nargs="*", default=(), help="names of parts")
    parser.add_argument("--slots", type=int, default=384, help="rows that are read at a time")
    parser.add_argument("--set-up-s", type=float, default=100, help="a part that is not ready by then is left out")
    parser.add_argument("--limit-s", type=float, default=60, help="of what is timed, for each part")
    parser.add_argument("--unsloth-site", type=Path, help="a folder with Unsloth's packages, put before all others")
    parser.add_argument("--late-limit-s", type=float, default=260, help="of an arm of Unsloth, which compiles first")
    parser.add_argument("--tiny", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
