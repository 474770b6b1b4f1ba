"""How a base's weights are divided among GPUs: what each keeps, what travels between them, and which way is fastest.

Per pack, sharded layers are gathered in the forward and again in the backward pass, next to the computation. Rows of
tokens travel once to each process that has some of their experts, and the sums of their products travel back, in both
passes; the computation waits for them.
Gradients of the adapters are summed once a step.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError
from texlens.models.families import LANGUAGE_MODEL, family_of
from texlens.models.families.expert_stacks import STACKS
from texlens.models.mixtures.experts import QuantizedExperts
from texlens.models.packed.memory import (
    RECOMPUTE_TIME,
    PackChoice,
    PackOptions,
    choose_pack,
    smallest_pack,
    weight_buffer_bytes,
)
from texlens.models.sharding.division import Division
from texlens.models.sharding.weights import STACK, is_divided_name
from texlens.models.weight_rows.placeholders import is_placeholder
from texlens.planner.gpus import Gpu

LINK_EFFICIENCY = 0.75
"""Share of the published rate between GPUs that large collectives are assumed to reach."""
EFFICIENCY = 0.5
"""Share of a GPU's published rate that a pack's matrix products reach (`planner.packed`)."""
GATHERED_LAYERS = 2
"""Layers that are whole at a time: the one that runs, and the next."""
EXCHANGED_BYTES = {"none": 12, "mlp": 14, "full": 14}
"""Of a value of a token's row that travels in a layer: in 16 bits to the experts in both passes, and once more where
gate and up are recomputed, and in 32 bits back in both."""
IMBALANCE = 1.25
"""Rows of the busiest experts' process relative to the mean, assumed."""


@dataclass(frozen=True)
class WeightBytes:
    """Bytes of a base's frozen weights.

    Args:
        whole: what every GPU keeps.
        dense: matrices of the decoder layers without experts.
        stacks: of all experts.
        largest_layer: matrices of one layer, without its experts and with them.
        shrunk: bytes in 16 bits by those that are stored.
    """

    whole: int
    dense: int
    stacks: int
    largest_layer: tuple[int, int]
    layers: int
    shrunk: float = 1.0

    @classmethod
    def of(cls, model: nn.Module, *, bytes_in_16_bits: int = 0) -> "WeightBytes":
        """
        Args:
            model: without adapters, quantized as `planner.simulated_ops` does or not; it may be on the meta device.
            bytes_in_16_bits: of all its weights, where it is quantized.
        """
        whole, by_layer = 0, {}
        for name, size in _sizes(model):
            if not name.startswith(f"{LANGUAGE_MODEL}.layers.") or not is_divided_name(name):
                whole += size
                continue
            number = name.removeprefix(f"{LANGUAGE_MODEL}.layers.").partition(".")[0]
            sizes = by_layer.setdefault(number, [0, 0])
            sizes[bool(STACK.search(name))] += size
        dense, stacks = (sum(sizes[kind] for sizes in by_layer.values()) for kind in (0, 1))
        largest = max(sizes[0] for sizes in by_layer.values()), max(map(sum, by_layer.values()))
        shrunk = bytes_in_16_bits / (whole + dense + stacks) if bytes_in_16_bits else 1.0
        return cls(whole, dense, stacks, largest, len(by_layer), shrunk)

    @property
    def total(self) -> int:
        return self.whole + self.dense + self.stacks

    def resident(self, division: Division) -> int:
        """By each GPU, all the time."""
        dense = -(-self.dense // division.processes) if division.weights else self.dense
        stacks = -(-self.stacks // division.processes) if division.weights or division.experts else self.stacks
        return self.whole + dense + stacks

    def gathered(self, division: Division) -> int:
        """By each GPU, while layers run."""
        return GATHERED_LAYERS * self.largest_layer[0 if division.experts else 1] if division.weights else 0

    def traffic(self, division: Division) -> int:
        """Bytes that each GPU receives to gather all layers once."""
        if not division.weights:
            return 0
        gathered = self.dense + (0 if division.experts else self.stacks)
        return round(gathered * (division.processes - 1) / division.processes)


def _sizes(model: nn.Module) -> Iterator[tuple[str, int]]:
    """Names of weights and their bytes as stored; a quantized stack has the name of the parameter that it replaces."""
    for name, parameter in model.named_parameters():
        yield name, 0 if is_placeholder(parameter) else parameter.nbytes
    for name, module in model.named_modules():
        if isinstance(module, QuantizedExperts):
            for stack in STACKS:
                yield f"{name}.{stack}", sum(part.nbytes for part in module.stacks[stack].buffers())


@dataclass(frozen=True)
class Communication:
    """Seconds between GPUs: `gathering` next to the computation, `exchanging` and `reducing` while it waits."""

    gathering: float = 0.0
    exchanging: float = 0.0
    reducing: float = 0.0

    def added(self, computing: float) -> float:
        """What it adds to a time of computation that gathering runs next to."""
        return max(self.gathering - computing, 0.0) + self.exchanging + self.reducing

    def to_json(self) -> dict[str, float]:
        names = ("gathering", "exchanging", "reducing")
        return {f"{name}_s": round(getattr(self, name), 7) for name in names}


def divisions(config: RunConfig, model_config: dict, processes: int) -> Iterator[Division]:
    """Those that the settings allow, the simplest first."""
    settings, is_mixture = config.train.parallel, bool(family_of(model_config).expert_parameters)
    choices = {"auto": (False, True), "replicate": (False,), "shard": (True,)}
    reason = undividable_reason(config)
    for weights, experts in itertools.product(choices[settings.weights], choices[settings.experts]):
        if (experts and not is_mixture and settings.experts == "auto") or (reason and (weights or experts)):
            continue
        yield Division(weights, experts, 0, processes)


def check_parallel(config: RunConfig, model_config: dict) -> None:
    """
    Raises:
        ConfigError: weights that can't be divided are to be, or experts of a model that has none.
    """
    settings = config.train.parallel
    if settings.experts == "shard" and not family_of(model_config).expert_parameters:
        raise ConfigError("train.parallel.experts: shard needs a mixture of experts; set it to auto, or weights: shard")
    required = [name for name in ("weights", "experts") if getattr(settings, name) == "shard"]
    if required and (reason := undividable_reason(config)):
        raise ConfigError(f"train.parallel.{required[0]}: shard can't be used here: {reason}; set it to auto")


def undividable_reason(config: RunConfig) -> str | None:
    """Why this run's weights can't be divided among processes, or None."""
    adapter = config.adapter
    if adapter.kind == "full":
        return "adapter.kind is full, and only frozen weights are divided; DeepSpeed ZeRO-3 divides trained ones"
    if getattr(adapter, "dora", False):
        return "adapter.dora reads the norms of whole weights"
    if getattr(adapter, "init", "default") not in ("default", "orthogonal"):
        return f"adapter.init: {adapter.init} reads whole weights"  # pyrefly: ignore[missing-attribute]
    if config.base.quantize == "int8":
        return "base.quantize: int8 is not divided; fp8 and nf4 are"
    if config.train.objective.kind != "sft":
        return f"train.objective: {config.train.objective.kind} needs whole weights"
    if config.model.trust_remote_code:
        return "model.trust_remote_code: the layers of its own code are not known"
    if config.train.compute.backend == "plain":
        return "train.compute.backend is plain; with it, DeepSpeed divides weights (accelerate launch)"
    if config.model.attention not in ("auto", "sdpa") or config.model.dtype == "float16":
        return "packs are not possible with this model.attention or model.dtype"
    return None


def pack_communication(
    weights: WeightBytes, division: Division, text_config: Any, tokens: float, recompute: str, gpu: Gpu
) -> Communication:
    """Of one pack, forward and backward."""
    rate = gpu.link_gbs * 1e9 * LINK_EFFICIENCY
    gathering = 2 * weights.traffic(division) / rate
    exchanging = 0.0
    if division.experts:
        rows = tokens * processes_away(division.processes, text_config.num_experts_per_tok)
        row = EXCHANGED_BYTES[recompute] * text_config.hidden_size
        exchanging = weights.layers * rows * row * IMBALANCE / rate
    return Communication(gathering, exchanging)


def processes_away(processes: int, experts: int) -> float:
    """To how many other processes the row of a token travels, where each of its experts may be anywhere.

    Example:
        2 processes, 8 experts of a token -> 0.996
    """
    return (processes - 1) * (1 - (1 - 1 / processes) ** experts)


def reducing_seconds(trained: int, processes: int, gpu: Gpu) -> float:
    """Of the gradients of so many numbers, in float32."""
    return 4 * trained * 2 * (processes - 1) / processes / (gpu.link_gbs * 1e9 * LINK_EFFICIENCY)


@dataclass(frozen=True)
class DividedPack:
    """A way to divide the weights, with the pack that fits next to them. `static`: bytes without the pack."""

    division: Division
    static: int
    pack: PackChoice
    fits: bool
    communication: Communication
    seconds_per_token: float


def fastest_division(
    candidates: Iterator[Division],
    weights: WeightBytes,
    text_config: Any,
    beside: int,
    budget: float,
    options: PackOptions,
    gpu: Gpu,
) -> DividedPack:
    """The fastest that fits; if none does, that which takes the least memory.

    Args:
        beside: bytes of adapters, gradients and optimizer.
        budget: bytes of a GPU that may be used.
    """
    plans = [_planned(division, weights, text_config, beside, budget, options, gpu) for division in candidates]
    fitting = [plan for plan in plans if plan.fits]
    if fitting:
        return min(fitting, key=lambda plan: plan.seconds_per_token)
    return min(plans, key=lambda plan: plan.static + plan.pack.nbytes)


def _planned(
    division: Division, weights: WeightBytes, text_config, beside: int, budget: float, options: PackOptions, gpu: Gpu
) -> DividedPack:
    static = beside + weights.resident(division) + weights.gathered(division)
    static += weight_buffer_bytes(text_config) if division.weights else 0
    chosen = choose_pack(text_config, budget - static, options)
    pack = chosen or smallest_pack(text_config, options)
    communication = pack_communication(weights, division, text_config, pack.tokens, pack.recompute, gpu)
    computing = computing_seconds(weights, text_config, pack.tokens, gpu) * RECOMPUTE_TIME[pack.recompute]
    seconds = computing + communication.added(computing)
    return DividedPack(division, static, pack, chosen is not None, communication, seconds / pack.tokens)


def computing_seconds(weights: WeightBytes, text_config: Any, tokens: float, gpu: Gpu) -> float:
    """Forward and backward of a pack's tokens through the decoder layers, computed in 16 bits."""
    used = getattr(text_config, "num_experts_per_tok", 0) / max(getattr(text_config, "num_experts", 0) or 1, 1)
    numbers = weights.shrunk * (weights.dense + weights.stacks * used) / 2
    return 4 * numbers * tokens / (gpu.tflops * 1e12 * EFFICIENCY)
