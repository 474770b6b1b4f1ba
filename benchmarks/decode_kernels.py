"""The decoding engine's kernels over a prompt pack and over a step, by tile: microseconds beside what memory allows.

    python benchmarks/decode_kernels.py --output benchmarks/results/decode_kernels_h200_DATE.json

Qwen3-VL-4B's widths, one adapter of rank 16, random bf16 values; medians of 20 launches on one GPU.
"""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from texlens.kernels.decode import triton as kernels
from texlens.kernels.decode.lora import Product, RowLora
from texlens.kernels.decode.reference import HeadShape

WIDTH, MLP, QUERIES, KEYS, HEAD, RANK = 2560, 9728, 32, 8, 128, 16
BYTES_PER_S = 4.3e12
"""A device-to-device copy on an H200, bytes read and written."""
SWIGLU_TILES = [(64, 128, 4), (32, 128, 8), (32, 128, 4), (16, 128, 4), (64, 64, 8), (16, 256, 8), (128, 64, 8)]
HEAD_TILES = [(64, 0, 4), (32, 0, 4), (16, 0, 4), (16, 0, 2), (32, 0, 8), (64, 0, 8), (128, 0, 8)]


def product(rows: int, widths: list[int]) -> Product:
    """Stacked layers with a LoRA of rank 16 each."""
    height, ranks = sum(widths), RANK * len(widths)
    both = torch.randn(rows, height + ranks, device="cuda", dtype=torch.bfloat16)
    up = torch.zeros(ranks, height, device="cuda", dtype=torch.bfloat16)
    start = 0
    for number, width in enumerate(widths):
        up[number * RANK : (number + 1) * RANK, start : start + width].normal_(std=0.02)
        start += width
    gates = torch.ones(1, ranks, device="cuda", dtype=torch.bfloat16)
    sections = tuple(RANK * number for number in range(len(widths) + 1))
    row = torch.zeros(rows, device="cuda", dtype=torch.int32)
    return Product(both[:, :height], RowLora(both[:, height:], up, gates, row, sections))


def microseconds(body, repeats: int = 20) -> float:
    for _ in range(3):
        body()
    events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(repeats)]
    for start, end in events:
        start.record()
        body()
        end.record()
    torch.cuda.synchronize()
    return sorted(start.elapsed_time(end) for start, end in events)[repeats // 2] * 1e3


def swiglu(rows: int) -> dict:
    y = product(rows, [MLP, MLP])
    plain = Product(y.columns)
    result = {"memory allows": rows * 3 * MLP * 2 / BYTES_PER_S * 1e6}
    for tile in SWIGLU_TILES:
        kernels.PROMPT_TILE = kernels.Tile(*tile)
        result[f"{tile}"] = microseconds(lambda: kernels.swiglu(y))
        result[f"{tile} without LoRA"] = microseconds(lambda: kernels.swiglu(plain))
    return result


def heads(rows: int) -> dict:
    y = product(rows, [QUERIES * HEAD, KEYS * HEAD, KEYS * HEAD])
    norm = torch.ones(HEAD, device="cuda", dtype=torch.bfloat16)
    shape = HeadShape(QUERIES, KEYS, HEAD, norm, norm, 1e-6)
    angles = torch.randn(rows, HEAD // 2, device="cuda").repeat(1, 2)
    cos, sin, at = angles.cos(), angles.sin(), torch.arange(rows, device="cuda")
    cache = [torch.zeros(rows + 32, KEYS, HEAD, device="cuda", dtype=torch.bfloat16) for _ in range(2)]
    moved = rows * HEAD * 2 * (2 * (QUERIES + 2 * KEYS) + 2 * KEYS)
    result = {"memory allows": moved / BYTES_PER_S * 1e6}
    for tile in HEAD_TILES:
        kernels.HEAD_TILE = kernels.Tile(*tile)
        result[f"{tile}"] = microseconds(lambda: kernels.split_heads(y, shape, cos, sin, *cache, at))
    return result


def norms(rows: int) -> dict:
    y, x = product(rows, [WIDTH]), torch.randn(rows, WIDTH, device="cuda", dtype=torch.bfloat16)
    weight = torch.ones(WIDTH, device="cuda", dtype=torch.bfloat16)
    result = {"memory allows": rows * WIDTH * 2 * 4 / BYTES_PER_S * 1e6}
    return {**result, "as it is": microseconds(lambda: kernels.add_norm(x, y, weight, 1e-6))}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=8192)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    figures = {
        "theme": "the decoding engine's kernels over a prompt pack, microseconds",
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": torch.cuda.get_device_name(),
        "versions": {"torch": torch.__version__},
        "command": "python " + " ".join(sys.argv),
        "rows": options.rows,
    }
    for name, body in {"swiglu": swiglu, "split_heads": heads, "add_norm": norms}.items():
        figures[name] = {key: round(value, 1) for key, value in body(options.rows).items()}
        print(name, json.dumps(figures[name], indent=1), flush=True)
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
