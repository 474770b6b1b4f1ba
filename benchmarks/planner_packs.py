"""Predictions of the planner for the arms of `fast_path.py`, and what these measured; used by `planner_peaks.py`."""

import functools
import statistics
from dataclasses import dataclass

import torch
from fast_path_rows import GIB, RANK, drawn_lengths, text_projections
from nf4_layers import UNQUANTIZED
from peft import LoraConfig, get_peft_model

from texlens.inputs.packed_collator import bin_pack
from texlens.models.bundled import bundled_config
from texlens.models.families import family_of
from texlens.models.meta_model import meta_model
from texlens.planner.gpus import find_gpu
from texlens.planner.memory import optimizer_bytes
from texlens.planner.packed import PlannedPack, plan_packed_memory, time_packed
from texlens.planner.simulated_ops import quantize
from texlens.planner.simulated_step import Batch, SimulatedStep, simulate_step

MODEL = "Qwen3-VL-4B-Instruct"
MEAN_ROW = ((8, 82),)
MEAN_TEXT, MEAN_LABELS = 127, 98
SAMPLE = Batch(4, 8 * 82 // 4 + MEAN_TEXT, 4 * MEAN_LABELS, (MEAN_ROW,) * 4)
"""Four rows of the average size of these benchmarks."""
WARM, TIMED = 4, 12
"""Steps of a run of `fast_path.py`."""
TOKENS_ROUND_AN_IMAGE = 26
"""Of prompt and end in each of its rows."""
BYTES_PER_PATCH = 824


@dataclass(frozen=True)
class PackSizes:
    """The packs of an arm of `fast_path.py` in its timed steps: tokens of a mean step, a mean pack and the largest pack
    with padding; and bytes of all packs of the run if they are on the GPU beforehand."""

    step: int
    pack: int
    largest: int
    waiting: int


def pack_sizes(rows: int, budget: int, *, on_gpu: bool) -> PackSizes:
    drawn = drawn_lengths(rows * (WARM + TIMED))
    lengths = [height * width // 4 + answer + TOKENS_ROUND_AN_IMAGE for height, width, answer in drawn]
    steps = [lengths[start : start + rows] for start in range(WARM * rows, len(lengths), rows)]
    packs = [sum(step[row] for row in chosen) for step in steps for chosen in bin_pack(step, budget)]
    patches = sum(height * width for height, width, _ in drawn) if on_gpu else 0
    return PackSizes(
        round(statistics.mean(map(sum, steps))),
        round(statistics.mean(packs)),
        -(-max(packs) // 128) * 128,
        patches * BYTES_PER_PATCH,
    )


def predict_packed(arms: list[dict], gpu: str) -> list[dict]:
    """Peaks and rates of the arms whose layers are fused and whose images are seen."""
    return [_predicted(arm, gpu) for arm in arms if arm.get("fused", True) and not arm.get("cached")]


def _predicted(arm: dict, gpu: str) -> dict:
    kind = arm.get("base", "bf16")
    step, optimizer, text_config = _step(kind)
    sizes = pack_sizes(arm["rows"], arm["budget"], on_gpu=not arm.get("memory_gib"))
    worst, mean = (
        PlannedPack(tokens, arm["recompute"], True, arm.get("loss_chunk", 2048), kind == "nf4", kind == "fp8")
        for tokens in (sizes.largest, sizes.pack)
    )
    plan = plan_packed_memory(step, SAMPLE, optimizer, worst, text_config)
    batch = Batch(arm["rows"], SAMPLE.length, arm["rows"] * MEAN_LABELS, (MEAN_ROW,) * arm["rows"], sizes.step)
    peak = plan.allocated + sizes.waiting / GIB
    prediction = {
        **{key: arm[key] for key in ("name", "rows", "budget", "recompute")},
        "base": kind,
        "predicted": {
            **plan.to_json(),
            "waiting_packs_gib": round(sizes.waiting / GIB, 3),
            "peak_gib": round(peak, 2),
        },
        "measured": {key: arm[key] for key in ("peak_gib", "reserved_gib", "samples_per_s")},
        "errors": {"peak": round(peak / arm["peak_gib"] - 1, 4)},
    }
    if arm.get("compiled", arm.get("passes") == "triton"):
        spent = time_packed(step, batch, SAMPLE, mean, text_config, find_gpu(gpu))
        rate = arm["rows"] / spent.seconds
        prediction["predicted"]["samples_per_s"] = round(rate, 2)
        prediction["errors"]["samples_per_s"] = round(rate / arm["samples_per_s"] - 1, 4)
    return prediction


@functools.cache
def _step(kind: str) -> tuple[SimulatedStep, int, object]:
    """The plain backend's step of the sample on such a base, bytes of the optimizer, and the text's config."""
    config = bundled_config(MODEL)
    assert config is not None
    base = meta_model(config).to(torch.bfloat16)
    if kind != "bf16":
        quantize(base, kind, UNQUANTIZED)
    lora = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=text_projections(config), task_type="CAUSAL_LM")
    model = get_peft_model(base, lora)  # pyrefly: ignore
    step = simulate_step(model, base, family_of(config), SAMPLE, checkpointing=False)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return step, optimizer_bytes(trained, "adamw"), base.config.text_config
