"""Qwen3.5 on one GPU in one call: kernels beside their reference, training steps, memory by plan, reading.

    python benchmarks/qwen3_5_gpu.py --output benchmarks/results/qwen3-5_h200_DATE.json [--model Qwen3.5-4B]
    python benchmarks/qwen3_5_gpu.py --tiny            # a model of a few layers on the CPU

Random weights. Each part prints a JSON line as soon as it is done; a part that fails is reported and the next one runs.
Training and reading use the benchmarks of the other families, `adapter_kinds.py` and `reading_gpu.py`.
"""

import argparse
import json
import subprocess
import sys
import time
import traceback
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from texlens.kernels.delta_rule.api import BACKENDS, kernels_missing_reason
from texlens.models.bundled import bundled_config
from texlens.models.meta_model import build_config
from texlens.models.packed.memory import peak_of_pack

HERE = Path(__file__).parent
TOKENS = 16_384
SAMPLE_TOKENS = 286


def delta_rule(config, device: torch.device, tokens: int) -> dict:
    """Time of forward and backward in ms by flash-linear-attention, and its errors relative to the reference."""
    if device.type == "cuda" and (reason := kernels_missing_reason()):
        return {"skipped": reason}
    names = ("fla", "reference") if device.type == "cuda" else ("reference",)
    ends = torch.tensor([*range(0, tokens, SAMPLE_TOKENS), tokens], dtype=torch.int32, device=device)
    results, outputs = {}, {}
    for name in names:
        parts = [part.requires_grad_() for part in random_parts(config, tokens, device)]
        rule = BACKENDS[name].delta_rule
        for repeat in range(3 if name == "fla" else 1):
            start = now(device)
            output, _ = rule(*parts, ends)
            grads = torch.autograd.grad(output.float().square().mean(), parts)
            results[f"{name} ms"] = (now(device) - start) * 1e3
            del repeat
        outputs[name] = [output, *grads]
    if len(outputs) == 2:
        pairs = zip(("output", "query", "key", "value", "decay", "beta"), *outputs.values(), strict=True)
        results["relative error"] = {
            what: ((left.float() - right.float()).norm() / right.float().norm()).item() for what, left, right in pairs
        }
    return results


def random_parts(config, tokens: int, device: torch.device) -> list[torch.Tensor]:
    generator = torch.Generator(device).manual_seed(0)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32

    def draw(*shape):
        return torch.randn(tokens, *shape, generator=generator, device=device)

    keys, heads = config.linear_num_key_heads, config.linear_num_value_heads
    return [
        draw(keys, config.linear_key_head_dim).to(dtype),
        draw(keys, config.linear_key_head_dim).to(dtype),
        draw(heads, config.linear_value_head_dim).to(dtype),
        -draw(heads).exp() * 0.1,
        draw(heads).sigmoid().to(dtype),
    ]


def planned_memory(config) -> dict:
    """GiB of a pack by what is recomputed, for comparison with the peaks of the training steps."""
    return {kind: peak_of_pack(config, kind, TOKENS, TOKENS // 4) / 2**30 for kind in ("none", "mlp", "full")}


def script(name: str, *arguments: str, limit_s: int = 240) -> dict:
    """Another benchmark of this folder; its last lines."""
    command = [sys.executable, str(HERE / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    return {
        "command": command[1:],
        "code": done.returncode,
        "output": done.stdout[-4000:],
        "error": done.stderr[-2000:],
    }


def now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="Qwen3.5-4B")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() and not options.tiny else "cpu")
    config = build_config(bundled_config(options.model) or {}).text_config
    tiny = ("--tiny",) if options.tiny else ()
    model = ("--model", options.model)
    parts = {
        "delta rule": lambda: delta_rule(config, device, 600 if options.tiny else TOKENS),
        "planned memory GiB": lambda: planned_memory(config),
        "training": lambda: script("adapter_kinds.py", *model, *tiny),
        "reading": lambda: {"skipped": "needs a GPU"} if options.tiny else script("reading_gpu.py", *model),
    }
    results: dict = {"hardware": torch.cuda.get_device_name() if device.type == "cuda" else "CPU"}
    for name, part in parts.items():
        try:
            results[name] = part()
        except Exception as error:  # noqa: BLE001 - the next part runs whatever happens in this one
            traceback.print_exc()
            results[name] = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps({name: results[name]}), flush=True)
    if options.output:
        options.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
