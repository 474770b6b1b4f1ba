"""The packed engine's memory and time, from its own account of what a pack takes.

Its activations are what `models/packed/memory.py` counts, weights and optimizer are exact, its rate is measured.
"""

from dataclasses import dataclass

from texlens.config.run import RunConfig
from texlens.models.packed.memory import (
    HEADROOM,
    LOSS_CHUNKS,
    augmented_bytes,
    backward_per_token,
    choose_pack,
    loss_bytes,
    saved_per_token,
    smallest_pack,
)
from texlens.planner.duration import StepTime
from texlens.planner.gpus import Gpu
from texlens.planner.memory import CONTEXT_GIB, GIB, PARTS, WORKSPACE, MemoryPlan
from texlens.planner.pack_budget import USABLE, pack_options
from texlens.planner.simulated_step import TEXT, TRAINED, VISION, WEIGHTS, Batch, Step

SHARE = 0.502
"""Share of a card's published bf16 rate at which the engine does a pack's products, launching apart. This and the
constants below follow from Qwen3-VL-4B, LoRA r 16, on an H200 (torch 2.11, 2026-11-21, benchmarks/side_by_side.py):
102.6 rows a second in packs of 16k tokens, 65.5 in packs of 1,792 that make everything again."""
UNFUSED_SHARE = 0.193
"""The same module by module."""
LAUNCH_US = 0.72
"""Microseconds a pack for each call that the plain engine would make."""
LAUNCH_4_BIT = 5.6
"""Times as much over a base in 4 bit, whose weights are written out before each product: 49.1 rows a second."""
TIME_8_BIT = 0.77
"""Of the time of 16 bits, over a base in fp8: 135.2 rows a second where 16 bits reach 105.8."""
EXTRA_WORK = {"none": 0.0, "mlp": 0.17, "full": 0.36}
"""What recomputation adds to the time of a pack with a frozen base, without the head."""


@dataclass(frozen=True)
class Pack:
    """Tokens of a pack, how much it recomputes, whether its layers run fused, label rows a chunk of its loss, and
    whether the base is in 4 or in 8 bit."""

    tokens: int
    recompute: str
    fused: bool
    loss_chunk: int = LOSS_CHUNKS[0]
    in_4_bit: bool = False
    in_8_bit: bool = False


def pack_of(config: RunConfig, text_config, held: int, adapters: int, step_tokens: int, longest: int, gpu: Gpu) -> Pack:
    """The pack that the engine would make on this card, or the least that it could.

    Args:
        held: bytes of weights, gradients and optimizer.
        adapters: how many numbers they have.
        step_tokens: tokens of an optimizer step without padding; `longest`, of the longest row.
    """
    train = config.train
    memory = gpu.memory_gib * USABLE if train.memory_gib == "auto" else float(train.memory_gib)
    options = pack_options(train, on_gpu=True)
    in_4_bit = config.base.quantize == "nf4"
    room = memory * GIB - held - augmented_bytes(text_config, adapters, in_4_bit=in_4_bit) - WORKSPACE
    chosen = choose_pack(text_config, room, options) or smallest_pack(text_config, options)
    tokens = max(min(chosen.tokens, step_tokens), longest)
    in_8_bit = config.base.quantize == "fp8"
    return Pack(tokens, chosen.recompute, is_fused(config, text_config), chosen.loss_chunk, in_4_bit, in_8_bit)


def is_fused(config: RunConfig, text_config) -> bool:
    """Whether the engine's fused layers take this model and adapter."""
    adapter = config.adapter
    plain_lora = adapter.kind == "lora" and not adapter.dora and not adapter.dropout
    return plain_lora and config.base.quantize in ("none", "nf4", "fp8") and not hasattr(text_config, "num_experts")


def plan_packed_memory(step: Step, batch: Batch, optimizer: int, pack: Pack, text_config) -> MemoryPlan:
    """The worst of two moments: the loss, or the backward pass of one layer.

    With the workspace stands what fused layers keep beside the weights: the adapters in 16 bits, or the place that
    4-bit weights are written out into. What `fragmentation` holds is what the engine leaves free when it chooses packs.

    Args:
        step: the plain engine's simulated step of `batch`, recomputing where the pack recomputes everything.
    """
    per_token = step.parts.get(TEXT, 0) / batch.tokens
    kept = saved_per_token(text_config, pack.recompute) if pack.fused else per_token
    labels = round(pack.tokens * batch.labels / batch.tokens)
    loss = loss_bytes(labels, text_config.vocab_size, chunk=pack.loss_chunk)
    backward = backward_per_token(text_config, pack.recompute) * pack.tokens
    beside = augmented_bytes(text_config, step.gradients // 4, in_4_bit=pack.in_4_bit)
    passing = {"logits and loss": loss} if loss >= backward else {"backward temporaries": backward}
    bytes_of = {
        "frozen weights": step.parts.get(WEIGHTS, 0),
        "trained weights": step.parts.get(TRAINED, 0),
        "gradients": step.gradients,
        "optimizer": optimizer,
        "text activations": kept * pack.tokens,
        "vision activations": step.parts.get(VISION, 0) * pack.tokens / batch.tokens,
        "workspace": WORKSPACE + (beside if pack.fused else 0),
        **passing,
    }
    parts = {name: bytes_of.get(name, 0) / GIB for name in PARTS}
    activations = parts["text activations"] + parts["vision activations"] + sum(passing.values()) / GIB
    return MemoryPlan(parts, CONTEXT_GIB, (HEADROOM - 1) * activations)


def time_packed(step: Step, batch: Batch, sample: Batch, pack: Pack, text_config, gpu: Gpu) -> StepTime:
    """Time of the batch's rows as packs.

    Args:
        step: the plain engine's step of `sample`, a smaller batch, without recomputation.
    """
    head = 4 * text_config.vocab_size * text_config.hidden_size
    per_token = (step.flops - head * sample.tokens) / sample.tokens
    flops = per_token * batch.real_tokens * (1 + EXTRA_WORK[pack.recompute]) + head * batch.labels
    seconds = flops / (gpu.tflops * 1e12 * (SHARE if pack.fused else UNFUSED_SHARE))
    seconds *= TIME_8_BIT if pack.in_8_bit and pack.fused else 1
    launching = LAUNCH_US * (LAUNCH_4_BIT if pack.in_4_bit else 1) / 1e6
    return StepTime(seconds, batch.real_tokens / pack.tokens * len(step.work) * launching, round(flops))
