"""Peak memory of merging: a synthetic sharded checkpoint of a given size, an adapter on it, and the resident memory
of a process that merges the two.

    python benchmarks/merge_memory.py --gib 4 16 --folder /somewhere/large --out benchmarks/results/....json

The weights are random bytes of bf16 in shards of 4 GiB with the names and widths of Qwen3-VL (more layers for more
GiB), the adapter has rank 16 on every linear layer of the language model. Needs three times `--gib` of disk.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from texlens.core.environment import describe_environment
from texlens.exporting.shards import TensorWriter, as_bytes, write_shard

HIDDEN, INNER, VOCABULARY, RANK = 4096, 12288, 151_936, 16
SHARD_BYTES = 4 * 2**30
KEYS = {"q_proj": (HIDDEN, HIDDEN), "k_proj": (1024, HIDDEN), "v_proj": (1024, HIDDEN), "o_proj": (HIDDEN, HIDDEN)}
MLP = {"gate_proj": (INNER, HIDDEN), "up_proj": (INNER, HIDDEN), "down_proj": (HIDDEN, INNER)}


def config(layers: int) -> dict:
    """A Qwen3-VL of the 8B's widths; the tower is small, since it is copied as it is."""
    text = {
        "model_type": "qwen3_vl_text",
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": layers,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "tie_word_embeddings": False,
    }
    vision = {
        "model_type": "qwen3_vl",
        "depth": 1,
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": HIDDEN,
        "deepstack_visual_indexes": [],
    }
    return {"model_type": "qwen3_vl", "tie_word_embeddings": False, "text_config": text, "vision_config": vision}


def shapes(layers: int) -> dict[str, tuple[int, ...]]:
    named = {"model.language_model.embed_tokens.weight": (VOCABULARY, HIDDEN), "lm_head.weight": (VOCABULARY, HIDDEN)}
    for layer in range(layers):
        at = f"model.language_model.layers.{layer}"
        named |= {f"{at}.self_attn.{name}.weight": shape for name, shape in KEYS.items()}
        named |= {f"{at}.mlp.{name}.weight": shape for name, shape in MLP.items()}
        named |= {f"{at}.input_layernorm.weight": (HIDDEN,), f"{at}.post_attention_layernorm.weight": (HIDDEN,)}
    return named


def write_checkpoint(folder: Path, layers: int) -> int:
    """Bytes of weights written."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config(layers)))
    shards: list[list[tuple[str, tuple[int, ...]]]] = [[]]
    size = 0
    for name, shape in shapes(layers).items():
        tensor_bytes = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        if size + tensor_bytes > SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append((name, shape))
        size += tensor_bytes
    placed, total = {}, 0
    for number, members in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        tensors = [TensorWriter(name, "BF16", shape, lambda shape=shape: rows(shape)) for name, shape in members]
        write_shard(folder / file, tensors, {"format": "pt"})
        placed |= {name: file for name, _ in members}
        total += sum(writer.size for writer in tensors)
    index = {"metadata": {"total_size": total}, "weight_map": placed}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return total


def rows(shape: tuple[int, ...]):
    """The same random megabyte again and again: that numbers are written matters here, not which."""
    data = as_bytes((torch.randn(2**19) * 0.02).to(torch.bfloat16))
    left = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
    while left:
        yield data[: min(left, len(data))]
        left -= min(left, len(data))


def write_adapter(folder: Path, layers: int) -> int:
    folder.mkdir(parents=True)
    tensors = {}
    for name, (outputs, inputs) in ((name, shape) for name, shape in shapes(layers).items() if "_proj" in name):
        layer = "base_model.model." + name.removesuffix(".weight")
        tensors[f"{layer}.lora_A.weight"] = torch.randn(RANK, inputs) * 0.01
        tensors[f"{layer}.lora_B.weight"] = torch.randn(outputs, RANK) * 0.01
    save_file(tensors, folder / "adapter_model.safetensors")
    settings = {"peft_type": "LORA", "r": RANK, "lora_alpha": 32, "init_lora_weights": True, "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    return len(tensors) // 2


MERGE = """
import json, resource, sys, time
from pathlib import Path
import texlens.exporting.merged as merged
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.perf_counter()
merged.write_merged(*map(Path, sys.argv[1:4]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"before_kib": before, "peak_kib": peak, "seconds": time.perf_counter() - started}))
"""


def measure(folder: Path, gib: float) -> dict:
    per_layer = 2 * sum(a * b for a, b in [*KEYS.values(), *MLP.values()])
    layers = max(1, round((gib * 2**30 - 4 * VOCABULARY * HIDDEN) / per_layer))
    base, adapter, out = folder / "base", folder / "adapter", folder / "merged"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        total = write_checkpoint(base, layers)
        adapted = write_adapter(adapter, layers)
        out.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", MERGE, str(base), str(adapter), str(out)], capture_output=True, text=True, check=True
        )
        usage = json.loads(done.stdout.splitlines()[-1])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "checkpoint_gib": round(total / 2**30, 2),
        "layers": layers,
        "adapted_layers": adapted,
        "largest_tensor_gib": round(2 * VOCABULARY * HIDDEN / 2**30, 2),
        "imports_gib": round(usage["before_kib"] / 2**20, 2),
        "peak_rss_gib": round(usage["peak_kib"] / 2**20, 2),
        "seconds": round(usage["seconds"], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, nargs="+", default=[4.0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows_ = [measure(arguments.folder / f"merge-{gib:g}", gib) for gib in arguments.gib]
    report = {
        "command": "python "
        + " ".join(["benchmarks/merge_memory.py", "--gib", *(f"{gib:g}" for gib in arguments.gib)]),
        "hardware": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "environment": describe_environment(),
        "date": time.strftime("%Y-%m-%d"),
        "rows": rows_,
    }
    text = json.dumps(report, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
