"""The packed engine's memory and time, from its own account of what a pack takes.

Its activations are what `models/packed/memory.py` counts, weights and optimiser are exact, its rate is measured.
"""

from dataclasses import dataclass

from texlens.config.run import RunConfig
from texlens.models.packed.memory import (
    LOSS_CHUNKS,
    SPARE,
    backward_per_token,
    beside_weights,
    choose_pack,
    kept_per_token,
    least_pack,
    loss_bytes,
)
from texlens.train.packs import USABLE, pack_options
from texlens.train.planner.duration import StepTime
from texlens.train.planner.gpus import Gpu
from texlens.train.planner.memory import CONTEXT_GIB, GIB, PARTS, WORKSPACE, MemoryPlan
from texlens.train.planner.step import TEXT, TRAINED, VISION, WEIGHTS, Batch, Step

SHARE = 0.386
"""Share of a card's published bf16 rate at which the compiled engine does a pack's products, launching apart:
Qwen3-VL-4B, LoRA r 16, packs of 8k and 16k tokens at 74.55 and 76.75 rows a second on an H200 (torch 2.11, 2026-11-21,
benchmarks/fast_path.py)."""
LAUNCH_US = 1.9
"""Microseconds a pack for each call that the plain engine would make: what the same two packs have in common."""
EXTRA_WORK = {"none": 0.0, "mlp": 0.17, "full": 0.56}
"""What recomputation adds to the time of a pack with a frozen base, without the head: 66.27 and 50.21 rows a second in
the same run."""


@dataclass(frozen=True)
class Pack:
    """Tokens of a pack, how much it recomputes, whether its layers run fused, label rows a chunk of its loss, and
    whether the base is in 4 bit."""

    tokens: int
    recompute: str
    fused: bool
    loss_chunk: int = LOSS_CHUNKS[0]
    in_4_bit: bool = False


def pack_of(config: RunConfig, text_config, held: int, adapters: int, step_tokens: int, longest: int, gpu: Gpu) -> Pack:
    """The pack that the engine would make on this card, or the least that it could.

    Args:
        held: bytes of weights, gradients and optimiser.
        adapters: how many numbers they have.
        step_tokens: tokens of an optimiser step without padding; `longest`, of the longest row.
    """
    train = config.train
    memory = gpu.memory_gib * USABLE if train.memory_gib == "auto" else float(train.memory_gib)
    options = pack_options(train, on_gpu=True)
    in_4_bit = config.base.quantise == "nf4"
    room = memory * GIB - held - beside_weights(text_config, adapters, in_4_bit=in_4_bit) - WORKSPACE
    chosen = choose_pack(text_config, room, options) or least_pack(text_config, options)
    tokens = max(min(chosen.tokens, step_tokens), longest)
    return Pack(tokens, chosen.recompute, is_fused(config, text_config), chosen.loss_chunk, in_4_bit)


def is_fused(config: RunConfig, text_config) -> bool:
    """Whether the engine's fused layers take this model and adapter."""
    adapter = config.adapter
    plain_lora = adapter.kind == "lora" and not adapter.dora and not adapter.dropout
    return plain_lora and config.base.quantise in ("none", "nf4", "fp8") and not hasattr(text_config, "num_experts")


def plan_packed_memory(step: Step, batch: Batch, optimiser: int, pack: Pack, text_config) -> MemoryPlan:
    """The worst of two moments: the loss, or the backward pass of one layer.

    With the workspace stands what fused layers keep beside the weights: the adapters in 16 bits, or the place that
    4-bit weights are written out into. What `fragmentation` holds is what the engine leaves free when it chooses packs.

    Args:
        step: the plain engine's simulated step of `batch`, recomputing where the pack recomputes everything.
    """
    per_token = step.parts.get(TEXT, 0) / batch.tokens
    kept = kept_per_token(text_config, pack.recompute) if pack.fused else per_token
    labels = round(pack.tokens * batch.labels / batch.tokens)
    loss = loss_bytes(labels, text_config.vocab_size, chunk=pack.loss_chunk)
    backward = backward_per_token(text_config, pack.recompute) * pack.tokens
    beside = beside_weights(text_config, step.gradients // 4, in_4_bit=pack.in_4_bit)
    passing = {"logits and loss": loss} if loss >= backward else {"backward temporaries": backward}
    bytes_of = {
        "frozen weights": step.parts.get(WEIGHTS, 0),
        "trained weights": step.parts.get(TRAINED, 0),
        "gradients": step.gradients,
        "optimiser": optimiser,
        "text activations": kept * pack.tokens,
        "vision activations": step.parts.get(VISION, 0) * pack.tokens / batch.tokens,
        "workspace": WORKSPACE + (beside if pack.fused else 0),
        **passing,
    }
    parts = {name: bytes_of.get(name, 0) / GIB for name in PARTS}
    activations = parts["text activations"] + parts["vision activations"] + sum(passing.values()) / GIB
    return MemoryPlan(parts, CONTEXT_GIB, (SPARE - 1) * activations)


def time_packed(step: Step, batch: Batch, sample: Batch, pack: Pack, text_config, gpu: Gpu) -> StepTime:
    """Time of the batch's rows as packs.

    Args:
        step: the plain engine's step of `sample`, a smaller batch, without recomputation.
    """
    head = 4 * text_config.vocab_size * text_config.hidden_size
    per_token = (step.flops - head * sample.tokens) / sample.tokens
    flops = per_token * batch.real_tokens * (1 + EXTRA_WORK[pack.recompute]) + head * batch.labels
    share = SHARE if pack.fused else SHARE / 2
    passes = batch.real_tokens / pack.tokens
    return StepTime(flops / (gpu.tflops * 1e12 * share), passes * len(step.work) * LAUNCH_US / 1e6, round(flops))
