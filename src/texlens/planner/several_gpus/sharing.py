"""What several GPUs keep of a model and send to each other, in the plan of each of them."""

from dataclasses import dataclass, replace
from typing import Any

from texlens.config.run import RunConfig
from texlens.models.meta_model import meta_model
from texlens.models.packed.memory import weight_buffer_bytes
from texlens.models.sharding.division import Division
from texlens.planner.gpus import Gpu
from texlens.planner.memory import GIB, MemoryPlan
from texlens.planner.pack_budget import USABLE, pack_options
from texlens.planner.several_gpus.division import (
    Communication,
    WeightBytes,
    check_parallel,
    divisions,
    fastest_division,
    pack_communication,
    reducing_seconds,
)
from texlens.planner.simulated_ops import KEPT_IN_16_BIT, quantize


@dataclass(frozen=True)
class Sharing:
    """How the weights are divided, and the communication of a step."""

    division: Division
    communication: Communication

    def to_json(self) -> dict[str, Any]:
        return {**self.division.to_json(), **self.communication.to_json()}


@dataclass(frozen=True)
class SharedWeights:
    """The weights of one of several GPUs. `trained`: numbers whose gradients are summed."""

    division: Division
    weights: WeightBytes
    text_config: Any
    trained: int
    gpu: Gpu

    @property
    def gathered(self) -> int:
        """Layers that are whole for a while, and the buffer of their products."""
        buffer = weight_buffer_bytes(self.text_config) if self.division.weights else 0
        return self.weights.gathered(self.division) + buffer

    @property
    def saved(self) -> int:
        """Bytes that a GPU does not keep, less those that it gathers."""
        return self.weights.total - self.weights.resident(self.division) - self.gathered

    def applied_to(self, memory: MemoryPlan) -> MemoryPlan:
        """The plan of a GPU that keeps its part."""
        parts = dict(memory.parts)
        parts["frozen weights"] -= (self.saved + self.gathered) / GIB
        parts["workspace"] += self.gathered / GIB
        return replace(memory, parts=parts)

    def of_step(self, tokens: float, pack_tokens: int, recompute: str) -> Sharing:
        """
        Args:
            tokens: of a GPU's part of a step.
        """
        packs = max(-(-round(tokens) // pack_tokens), 1)
        pack = pack_communication(self.weights, self.division, self.text_config, tokens / packs, recompute, self.gpu)
        reducing = reducing_seconds(self.trained, self.division.processes, self.gpu)
        return Sharing(self.division, Communication(packs * pack.gathering, packs * pack.exchanging, reducing))


def share_weights(
    config: RunConfig, model_config: dict, text_config: Any, beside: int, trained: int, gpu: Gpu, gpus: int
) -> SharedWeights:
    """The division that training chooses on so many GPUs.

    Args:
        beside: bytes of adapters, gradients and optimizer.
        trained: numbers whose gradients are summed.

    Raises:
        ConfigError: `train.parallel` asks for what this run can't have.
    """
    check_parallel(config, model_config)
    compute = config.train.compute
    memory = gpu.memory_gib * USABLE if compute.memory_gib == "auto" else float(compute.memory_gib)
    weights = _stored_weights(config, model_config)
    candidates, options = divisions(config, model_config, gpus), pack_options(compute, on_gpu=True)
    chosen = fastest_division(candidates, weights, text_config, beside, memory * GIB, options, gpu)
    return SharedWeights(chosen.division, weights, text_config, trained, gpu)


def _stored_weights(config: RunConfig, model_config: dict) -> WeightBytes:
    """In the number of bits that the run has them in."""
    model = meta_model(model_config).bfloat16()
    if config.base.quantize not in ("fp8", "nf4"):
        return WeightBytes.of(model)
    nbytes = sum(parameter.nbytes for parameter in model.parameters())
    quantize(model, config.base.quantize, KEPT_IN_16_BIT, double=config.base.double_quantize)
    return WeightBytes.of(model, bytes_in_16_bits=nbytes)
