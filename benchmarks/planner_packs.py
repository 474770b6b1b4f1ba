"""What the planner predicts of the arms of `fast_path.py`, beside what these measured; used by `planner_peaks.py`."""

import functools
import statistics
from dataclasses import dataclass

import torch
from fast_path_rows import GIB, RANK, drawn_lengths, text_projections
from nf4_layers import KEPT
from peft import LoraConfig, get_peft_model

from texlens.inputs.packed_collator import divide
from texlens.models.bundled import bundled_config
from texlens.models.families import family_of
from texlens.models.meta_model import meta_model
from texlens.planner.gpus import find_gpu
from texlens.planner.memory import optimizer_bytes
from texlens.planner.packed import Pack, plan_packed_memory, time_packed
from texlens.planner.simulated_ops import quantize
from texlens.planner.simulated_step import Batch, Step, simulate_step

MODEL = "Qwen3-VL-4B-Instruct"
MEAN_ROW = ((8, 82),)
MEAN_TEXT, MEAN_LABELS = 127, 98
SAMPLE = Batch(4, 8 * 82 // 4 + MEAN_TEXT, 4 * MEAN_LABELS, (MEAN_ROW,) * 4)
"""Four rows as these benchmarks' are on the average."""
WARM, TIMED = 4, 12
"""Steps of a run of `fast_path.py`."""
TOKENS_ROUND_AN_IMAGE = 26
"""Of prompt and end in each of its rows."""
BYTES_PER_PATCH = 824


@dataclass(frozen=True)
class Laid:
    """What `fast_path.py` lays for an arm in its timed steps: tokens of a mean step, of a mean pack and of the largest
    pack with its padding; and bytes of all packs of the run where they lie on the card beforehand."""

    step: int
    pack: int
    largest: int
    waiting: int


def laid(rows: int, budget: int, *, on_card: bool) -> Laid:
    drawn = drawn_lengths(rows * (WARM + TIMED))
    lengths = [high * wide // 4 + answer + TOKENS_ROUND_AN_IMAGE for high, wide, answer in drawn]
    steps = [lengths[start : start + rows] for start in range(WARM * rows, len(lengths), rows)]
    packs = [sum(step[row] for row in chosen) for step in steps for chosen in divide(step, budget)]
    patches = sum(high * wide for high, wide, _ in drawn) if on_card else 0
    return Laid(
        round(statistics.mean(map(sum, steps))),
        round(statistics.mean(packs)),
        -(-max(packs) // 128) * 128,
        patches * BYTES_PER_PATCH,
    )


def predict_packed(arms: list[dict], card: str) -> list[dict]:
    """Peaks and rates of the arms whose layers are fused and whose images are seen."""
    return [_predicted(arm, card) for arm in arms if arm.get("fused", True) and not arm.get("cached")]


def _predicted(arm: dict, card: str) -> dict:
    kind = arm.get("base", "bf16")
    step, optimizer, text_config = _step(kind)
    sizes = laid(arm["rows"], arm["budget"], on_card=not arm.get("memory_gib"))
    worst, mean = (
        Pack(tokens, arm["recompute"], True, arm.get("loss_chunk", 2048), kind == "nf4", kind == "fp8")
        for tokens in (sizes.largest, sizes.pack)
    )
    plan = plan_packed_memory(step, SAMPLE, optimizer, worst, text_config)
    batch = Batch(arm["rows"], SAMPLE.length, arm["rows"] * MEAN_LABELS, (MEAN_ROW,) * arm["rows"], sizes.step)
    peak = plan.allocated + sizes.waiting / GIB
    found = {
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
        spent = time_packed(step, batch, SAMPLE, mean, text_config, find_gpu(card))
        rate = arm["rows"] / spent.seconds
        found["predicted"]["samples_per_s"] = round(rate, 2)
        found["errors"]["samples_per_s"] = round(rate / arm["samples_per_s"] - 1, 4)
    return found


@functools.cache
def _step(kind: str) -> tuple[Step, int, object]:
    """The plain engine's step of the sample over such a base, bytes of the optimizer, and the text's config."""
    config = bundled_config(MODEL)
    assert config is not None
    base = meta_model(config).to(torch.bfloat16)
    if kind != "bf16":
        quantize(base, kind, KEPT)
    lora = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=text_projections(config), task_type="CAUSAL_LM")
    model = get_peft_model(base, lora)  # pyrefly: ignore
    step = simulate_step(model, base, family_of(config), SAMPLE, checkpointing=False)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return step, optimizer_bytes(trained, "adamw"), base.config.text_config
