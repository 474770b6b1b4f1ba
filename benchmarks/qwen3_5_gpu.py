"""Qwen3.5 on one GPU in one call: training beside Trainer + PEFT, reading, kernels, and memory beside the plan.

    python benchmarks/qwen3_5_gpu.py --output benchmarks/results/qwen3-5_h200_DATE.json [--trace FILE]
    python benchmarks/qwen3_5_gpu.py --tiny            # models of a few layers on the CPU

Random weights, LoRA r=16, frozen tower, rows of some 290 tokens; each part is another benchmark of this folder in a
process of its own, which has the GPU to itself. Parts come in the order of their worth, and each is written as soon as
it is done; a part that fails or takes too long is reported and the next one runs. Trainer + PEFT runs with
flash-linear-attention as installed, and with transformers' own PyTorch code in its place.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from texlens.models.bundled import bundled_config
from texlens.models.meta_model import build_config
from texlens.models.packed.memory import peak_of_pack

HERE = Path(__file__).parent
TOKENS = 16_384
PEER = "Trainer + PEFT, no checkpointing, 8"


def main() -> None:
    options = _options()
    report: dict = {"command": f"python benchmarks/qwen3_5_gpu.py {' '.join(sys.argv[1:])}".strip()}
    report["hardware"] = torch.cuda.get_device_name() if torch.cuda.is_available() and not options.tiny else "CPU"
    for name, part in parts(options).items():
        if options.only and name not in options.only:
            continue
        began = time.monotonic()
        report[name] = part()
        report[name]["seconds in all"] = round(time.monotonic() - began, 1)
        print(json.dumps({name: report[name]}), flush=True)
        if options.output:
            options.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def parts(options) -> dict[str, Callable[[], dict]]:
    """What is measured, most worth first."""
    model, tiny = ("--model", options.model), ("--tiny",) if options.tiny else ()
    peer = "--arm", PEER, "--warm-up", "3", "--steps", "4", *model, *tiny
    trace = ("--trace", str(options.trace)) if options.trace else ()
    reading = ("--rows", "4") if options.tiny else ("--slots", "256", "512", "--batches", "1", "64", "256")
    return {
        "training": lambda: script("fast_path.py", "--arm", "bf16, 16k tokens", *model, *tiny, *trace, limit_s=120),
        "reading": lambda: script("reading_gpu.py", "--arms", "bulk", "steps", *reading, *model, *tiny, limit_s=120),
        "Trainer + PEFT": lambda: script("fast_path_peers.py", *peer, limit_s=75),
        "Trainer + PEFT without flash-linear-attention": lambda: script(
            "fast_path_peers.py", *peer, "--without", "fla", limit_s=90
        ),
        "training, layers recomputed": lambda: script(
            "fast_path.py", "--arm", "bf16, 16k tokens, layers recomputed", *model, *tiny, limit_s=60
        ),
        "kernels": lambda: script("delta_rule_kernels.py", *tiny, limit_s=60),
        "planned memory GiB": lambda: planned_memory(options.model),
    }


def planned_memory(model: str) -> dict:
    """Of a pack by what is recomputed, for comparison with the peaks of the training steps."""
    config = build_config(bundled_config(model) or {}).text_config
    return {kind: round(peak_of_pack(config, kind, TOKENS, TOKENS // 4) / 2**30, 2) for kind in ("none", "mlp", "full")}


def script(name: str, *arguments: str, limit_s: int) -> dict:
    """Another benchmark of this folder: its last lines."""
    command = [sys.executable, str(HERE / name), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired as late:
        output, error = (str(part or b"", "utf-8", "replace") for part in (late.stdout, late.stderr))
        return {
            "arguments": arguments,
            "failed": f"more than {limit_s} s",
            "output": output[-3000:],
            "error": error[-1500:],
        }
    result: dict = {"arguments": arguments, "output": done.stdout[-6000:]}
    return result if done.returncode == 0 else {**result, "failed": done.returncode, "error": done.stderr[-2500:]}


def _options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="Qwen3.5-4B")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--trace", type=Path, help="a file for the kernels of a training step")
    parser.add_argument("--only", nargs="*", help="names of parts")
    parser.add_argument("--tiny", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
