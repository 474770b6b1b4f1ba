"""Memory and time of the packed backend.

Activations are what `models/packed/memory.py` counts, weights and optimizer are exact, the rate is measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from texlens.config.run import RunConfig
from texlens.inputs.packed_collator import bin_pack
from texlens.models.packed.memory import (
    HEADROOM,
    LOSS_CHUNKS,
    augmented_bytes,
    backward_per_token,
    choose_pack,
    is_mixture,
    loss_bytes,
    saved_per_token,
    smallest_pack,
)
from texlens.planner.duration import StepTime
from texlens.planner.gpus import Gpu
from texlens.planner.memory import CONTEXT_GIB, GIB, PARTS, WORKSPACE, MemoryPlan
from texlens.planner.pack_budget import USABLE, pack_options, with_answers
from texlens.planner.simulated_step import TEXT, TRAINED, VISION, WEIGHTS, Batch, SimulatedStep

FUSED_EFFICIENCY = 0.502
"""Share of a GPU's published bf16 rate that a pack's matrix products reach, without launching. This and the
constants below follow from Qwen3-VL-4B, LoRA r 16, on an H200 (torch 2.11, 2026-11-21, benchmarks/side_by_side.py):
102.6 rows a second in packs of 16k tokens, 65.5 in packs of 1,792 that recompute everything."""
UNFUSED_EFFICIENCY = 0.193
"""The same, module by module."""
MIXTURE_EFFICIENCY = 0.193
"""The same of fused layers with a mixture of experts, whose products have few rows each: 45 rows a second of
Qwen3-VL-30B-A3B in steps of 8, of which an H200 reached 42 to 55 (2026-11-30, benchmarks/recipes.py)."""
LAUNCH_US = 0.72
"""Microseconds per pack for each call that the plain backend would make."""
LAUNCH_4_BIT = 5.6
"""Factor for a base in 4 bits, whose weights are dequantized before each matrix product: 49.1 rows a second."""
TIME_8_BIT = 0.77
"""Time relative to 16 bits for a base in fp8: 135.2 rows a second where 16 bits reach 105.8."""
EXTRA_WORK = {"none": 0.0, "mlp": 0.17, "full": 0.36}
"""Relative time that recomputation adds to a pack with a frozen base, without the head."""


@dataclass(frozen=True)
class PlannedPack:
    """Tokens of a pack, what is recomputed, whether layers are fused, label rows per chunk of the loss, and whether the
    base is in 4 or 8 bits."""

    tokens: int
    recompute: str
    fused: bool
    loss_chunk: int = LOSS_CHUNKS[0]
    in_4_bit: bool = False
    in_8_bit: bool = False


def plan_pack(
    config: RunConfig,
    text_config,
    static: int,
    adapters: int,
    steps: Sequence[Sequence[int]],
    gpu: Gpu,
    besides: Mapping[str, int] | None = None,
) -> PlannedPack:
    """The pack that the backend would choose on this GPU, or the smallest one.

    Args:
        static: bytes of weights, gradients and optimizer.
        adapters: number of adapter parameters.
        steps: lengths of the rows of each optimizer step.
        besides: bytes a token, by what is recomputed, that layers save beyond `models.packed.memory`.
    """
    compute = config.train.compute
    memory = gpu.memory_gib * USABLE if compute.memory_gib == "auto" else float(compute.memory_gib)
    options = replace(pack_options(compute, on_gpu=True), besides=besides or {})
    in_4_bit = config.base.quantize == "nf4"
    in_8_bit = config.base.quantize == "fp8"
    beside = augmented_bytes(text_config, adapters, in_4_bit=in_4_bit, in_8_bit=in_8_bit)
    available = memory * GIB - static - beside - WORKSPACE
    chosen = choose_pack(text_config, available, options) or smallest_pack(text_config, options)
    tokens = fullest_pack(steps, chosen.tokens)
    return PlannedPack(tokens, chosen.recompute, is_fused(config), chosen.loss_chunk, in_4_bit, in_8_bit)


def fullest_pack(steps: Sequence[Sequence[int]], budget: int) -> int:
    """Tokens of the fullest pack of all steps, as `inputs.packed_collator` divides their rows.

    Args:
        steps: lengths of the rows of each step.

    Example:
        64 rows of 1,100 tokens, budget 32,768 -> 3 packs, 22 rows and 24,200 tokens
    """
    return max(
        sum(lengths)
        if sum(lengths) <= budget
        else max(sum(lengths[row] for row in pack) for pack in bin_pack(lengths, budget))
        for lengths in steps
    )


def is_fused(config: RunConfig) -> bool:
    """Whether the backend's fused layers support this adapter and base."""
    adapter, quantize = config.adapter, config.base.quantize
    if adapter.kind == "full" or quantize == "int8":
        return False
    return not getattr(adapter, "dora", False) or not (adapter.dropout or quantize == "fp8")


def besides_of(config: RunConfig, text_config, per_token: float, dora: Mapping[str, int]) -> dict[str, int]:
    """Bytes a token by what is recomputed that layers save beyond `models.packed.memory`.

    Args:
        per_token: bytes that the plain backend's layers save for a token, as layers module by module do.
        dora: those that fused layers save for DoRA.
    """
    if is_fused(config):
        return with_answers(config, text_config, dora)
    return {mode: max(0, round(per_token - saved_per_token(text_config, mode))) for mode in ("none", "mlp")}


def plan_packed_memory(
    step: SimulatedStep,
    batch: Batch,
    optimizer: int,
    pack: PlannedPack,
    text_config,
    besides: Mapping[str, int] | None = None,
) -> MemoryPlan:
    """The larger of two moments: the loss, or the backward pass of one layer.

    The workspace includes what fused layers keep next to the weights: the adapters in 16 bits, and the buffer that
    4-bit weights and quantized experts are dequantized into. `fragmentation` is what the backend leaves free when it
    chooses packs.

    Args:
        step: the plain backend's simulated step of `batch`, recomputing where the pack recomputes everything.
    """
    per_token = step.parts.get(TEXT, 0) / batch.tokens
    fused = saved_per_token(text_config, pack.recompute) + (besides or {}).get(pack.recompute, 0)
    activation = fused if pack.fused else per_token
    labels = round(pack.tokens * batch.labels / batch.tokens)
    loss = loss_bytes(labels, text_config.vocab_size, chunk=pack.loss_chunk)
    backward = backward_per_token(text_config, pack.recompute) * pack.tokens
    beside = augmented_bytes(text_config, step.gradients // 4, in_4_bit=pack.in_4_bit, in_8_bit=pack.in_8_bit)
    temporary = {"logits and loss": loss} if loss >= backward else {"backward temporaries": backward}
    bytes_of = {
        "frozen weights": step.parts.get(WEIGHTS, 0),
        "trained weights": step.parts.get(TRAINED, 0),
        "gradients": step.gradients,
        "optimizer": optimizer,
        "text activations": activation * pack.tokens,
        "vision activations": step.parts.get(VISION, 0) * pack.tokens / batch.tokens,
        "workspace": WORKSPACE + (beside if pack.fused else 0),
        **temporary,
    }
    parts = {name: bytes_of.get(name, 0) / GIB for name in PARTS}
    activations = parts["text activations"] + parts["vision activations"] + sum(temporary.values()) / GIB
    return MemoryPlan(parts, CONTEXT_GIB, (HEADROOM - 1) * activations)


def time_packed(step: SimulatedStep, batch: Batch, sample: Batch, pack: PlannedPack, text_config, gpu: Gpu) -> StepTime:
    """Time of the batch's rows as packs.

    Args:
        step: the plain backend's step of `sample`, a smaller batch, without recomputation.
    """
    head = 4 * text_config.vocab_size * text_config.hidden_size
    per_token = (step.flops - head * sample.tokens) / sample.tokens
    flops = per_token * batch.real_tokens * (1 + EXTRA_WORK[pack.recompute]) + head * batch.labels
    mixture = is_mixture(text_config)
    fused = MIXTURE_EFFICIENCY if mixture else FUSED_EFFICIENCY
    seconds = flops / (gpu.tflops * 1e12 * (fused if pack.fused else UNFUSED_EFFICIENCY))
    seconds *= TIME_8_BIT if pack.in_8_bit and pack.fused and not mixture else 1
    launching = LAUNCH_US * (LAUNCH_4_BIT if pack.in_4_bit else 1) / 1e6
    return StepTime(seconds, batch.real_tokens / pack.tokens * len(step.work) * launching, round(flops))
