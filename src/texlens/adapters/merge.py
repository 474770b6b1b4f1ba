"""Merges a saved adapter into the base's weights: block by block, in float32, rounded once to the base's dtype.

This needs no model, only the adapter's settings and tensors, and the names and shapes of the base's parameters. PEFT's
`merge_and_unload` is the slow reference that the tests compare with.

# N = outputs, I = inputs, R = rank, E = experts of a parameter
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from peft.utils.other import get_pattern_key
from safetensors import safe_open
from torch import Tensor

from texlens.adapters.lora import SETTINGS, WEIGHTS, check_adapter
from texlens.adapters.merge_checks import unmergeable_reason
from texlens.adapters.metadata import AdapterMetadata
from texlens.core.errors import ModelError

PREFIX = "base_model.model."
REMEDY = "export it with --format adapter"

CHANGED_BASES = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Initializations that subtract something from the base's weights, so that the saved factors alone are no update of it
(`eva` and `orthogonal` do not change the base). Saved as a plain LoRA of twice the rank, such an adapter merges."""

UNMERGEABLE = (
    "lora_bias",
    "use_qalora",
    "use_bdlora",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "velora_config",
    "monteclora_config",
    "layer_replication",
    "trainable_token_indices",
    "fan_in_fan_out",
)
"""Settings of PEFT's LoRA under which the update is no product of two matrices; none of them is used here."""


class Change(Protocol):
    """What an adapter does to one parameter."""

    def rows(self, block: Tensor, start: int) -> Tensor:
        """The merged rows, float32, of `block`, which begins at row `start` of the parameter."""
        ...


@dataclass(frozen=True)
class LowRankUpdate:
    """W + scale * B A, and with DoRA's `magnitude` each row scaled to that norm.

    `a` is [R, I], `b` is [N, R], `magnitude` is [N].
    LoRA: Hu et al. 2021, arXiv:2106.09685, section 4.1. DoRA: Liu et al. 2024, arXiv:2402.09353, equation 5.
    """

    a: Tensor
    b: Tensor
    scale: float
    magnitude: Tensor | None = None

    def rows(self, block: Tensor, start: int) -> Tensor:
        rows = slice(start, start + len(block))
        merged = block.float() + self.scale * (self.b[rows].float() @ self.a.float())
        if self.magnitude is None:
            return merged
        norms = merged.norm(dim=1, keepdim=True)
        return merged * (self.magnitude[rows].float()[:, None] / norms)


@dataclass(frozen=True)
class ExpertUpdate:
    """LoRA on an expert parameter `[E, N, I]`, one expert at a time, with factors as PEFT stores them.

    `a` is [E, R, I], `b` is [E, N, R]; a pair that all experts share is repeated as a view. `transposed`: the
    checkpoint stores the parameter as `[E, I, N]`.
    """

    a: Tensor
    b: Tensor
    scale: float
    transposed: bool

    def rows(self, block: Tensor, start: int) -> Tensor:
        merged = block.float()
        for index in range(len(block)):
            delta_NI = self.scale * (self.b[start + index].float() @ self.a[start + index].float())
            merged[index] += delta_NI.T if self.transposed else delta_NI
        return merged


@dataclass(frozen=True)
class Replacement:
    """A parameter that was trained in full (`modules_to_save`)."""

    weight: Tensor

    def rows(self, block: Tensor, start: int) -> Tensor:
        return self.weight[start : start + len(block)].float()


class Merge:
    """The changes that an adapter makes, by the parameter's full name in the model.

    Factors are read from the file parameter by parameter, so the adapter is never in memory as a whole.
    """

    def __init__(self, folder: Path, parameters: Mapping[str, Sequence[int]]):
        """
        Args:
            parameters: names and shapes of the model's parameters, of a meta model for instance, a tied head included.

        Raises:
            ModelError: an adapter that can't be merged, or one that does not fit these parameters.
        """
        self.folder = folder
        self.settings = _settings(folder)
        self.parameters = {name: tuple(shape) for name, shape in parameters.items()}
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            self._keys = _assigned(folder, file, self.parameters)

    def __contains__(self, name: str) -> bool:
        return name in self._keys

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters that change, in order of name."""
        return tuple(sorted(self._keys))

    def change(self, name: str, stored_shape: Sequence[int]) -> Change:
        """The change of a parameter that the checkpoint stores in this shape.

        Raises:
            ModelError: factors of another shape.
        """
        shape = self.parameters[name]
        with safe_open(self.folder / WEIGHTS, framework="pt") as file:
            parts = {part: file.get_tensor(key) for part, key in self._keys[name].items()}
        if "replacement" in parts:
            return self._replaced(name, parts["replacement"], shape)
        a, b = parts["a"], parts["b"]
        if len(shape) == 3:
            return self._experts(name, a, b, tuple(stored_shape))
        if "embedding" in parts:
            a, b = b.T, a.T
        if a.ndim != 2 or (b.shape[0], a.shape[1]) != shape:
            self._misfit(name, (b.shape[0], a.shape[-1]), shape)
        rank = a.shape[0]
        return LowRankUpdate(a, b, self._scale(name, rank), parts.get("magnitude"))

    def _replaced(self, name: str, weight: Tensor, shape: tuple[int, ...]) -> Replacement:
        if tuple(weight.shape) != shape:
            self._misfit(name, tuple(weight.shape), shape)
        return Replacement(weight)

    def _experts(self, name: str, a: Tensor, b: Tensor, stored: tuple[int, ...]) -> ExpertUpdate:
        experts, outputs, inputs = self.parameters[name]
        patterns = self.settings.get("rank_pattern") or {}
        planned = patterns.get(get_pattern_key(list(patterns), name), self.settings["r"])
        pairs = a.shape[0] // planned
        rank = a.shape[0] // pairs
        return ExpertUpdate(
            a.reshape(pairs, rank, inputs).expand(experts, -1, -1),
            b.reshape(outputs, rank, pairs).permute(2, 0, 1).expand(experts, -1, -1),
            self._scale(name, rank),
            transposed=stored != self.parameters[name],
        )

    def _scale(self, name: str, rank: int) -> float:
        """PEFT looks patterns up by the layer's name, of a stacked parameter by its own."""
        patterns = self.settings.get("alpha_pattern") or {}
        layer = name.removesuffix(".weight")
        alpha = patterns.get(get_pattern_key(list(patterns), layer), self.settings["lora_alpha"])
        return alpha / rank**0.5 if self.settings.get("use_rslora") else alpha / rank

    def _misfit(self, name: str, update: tuple[int, ...], parameter: tuple[int, ...]) -> None:
        raise ModelError(
            f"{self.folder / WEIGHTS}: the update of {name} is {list(update)} where the base has {list(parameter)}; "
            f"merge into the base that the adapter was trained on"
        )


def named_shapes(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """Every parameter's name and shape, one that is tied under each of its names."""
    return {name: tuple(part.shape) for name, part in model.named_parameters(remove_duplicate=False)}


def _settings(folder: Path) -> dict[str, Any]:
    """The adapter's settings, after checking that its update is a product of two matrices."""
    check_adapter(folder)
    path = folder / SETTINGS
    settings = json.loads(path.read_text(encoding="utf-8"))
    kind = settings.get("peft_type")
    metadata = AdapterMetadata.read(folder)
    reason = unmergeable_reason(settings, metadata.init if metadata else "default")
    if reason is None and kind != "LORA":
        reason = "only LoRA and DoRA are sums with a weight"
    if reason:
        raise ModelError(f"{path}: a {kind} adapter can't be merged ({reason}); {REMEDY}")
    init = str(settings.get("init_lora_weights")).lower()
    if init.startswith(CHANGED_BASES):
        raise ModelError(
            f"{path}: init_lora_weights {init} subtracted its factors from the base's weights, and this adapter was "
            f"not saved as an update of the unchanged base; train with `adapter.init: default`, or {REMEDY}"
        )
    if setting := next((name for name in UNMERGEABLE if settings.get(name)), None):
        raise ModelError(f"{path}: an adapter with {setting} can't be merged into plain weights; {REMEDY}")
    if settings.get("bias", "none") != "none":
        raise ModelError(f"{path}: trained biases (bias: {settings['bias']}) can't be merged; {REMEDY}")
    return settings


_SUFFIXES = {
    ".lora_A.weight": "a",
    ".lora_B.weight": "b",
    ".lora_embedding_A": "a",
    ".lora_embedding_B": "b",
    ".lora_magnitude_vector.weight": "magnitude",
    ".lora_magnitude_vector": "magnitude",
}


def _assigned(folder: Path, file: Any, parameters: Mapping[str, tuple[int, ...]]) -> dict[str, dict[str, str]]:
    """For each changed parameter, the keys of the tensors that change it, by part.

    Raises:
        ModelError: a key that belongs to no parameter, or half of a pair.
    """
    keys: dict[str, dict[str, str]] = {}
    for layer, parts in _layers(file).items():
        if missing := {"a", "b"} - parts.keys() if "replacement" not in parts else set():
            raise ModelError(f"{folder / WEIGHTS}: {layer} has no factor {missing.pop()}; save the adapter again")
        shapes = {part: tuple(file.get_slice(key).get_shape()) for part, key in parts.items()}
        name = _parameter(layer, shapes, {free: shape for free, shape in parameters.items() if free not in keys})
        if name is None:
            raise ModelError(
                f"{folder / WEIGHTS}: {next(iter(parts.values()))} belongs to no parameter of this base; "
                f"merge into the base and family that the adapter was trained on"
            )
        keys[name] = parts
    return keys


def _layers(file: Any) -> dict[str, dict[str, str]]:
    """The file's keys by layer and part; of nested layers (`base_layer`) the innermost first, as PEFT wrapped them."""
    layers: dict[str, dict[str, str]] = {}
    for key in sorted(file.keys(), key=lambda key: (-key.count(".base_layer"), key)):
        name = key.removeprefix(PREFIX)
        suffix = next((suffix for suffix in _SUFFIXES if name.endswith(suffix)), None)
        if suffix is None:
            layers[re.sub(r"\.modules_to_save(\.default)?(?=\.)", "", name)] = {"replacement": key}
            continue
        parts = layers.setdefault(name.removesuffix(suffix), {})
        parts[_SUFFIXES[suffix]] = key
        if "embedding" in suffix:
            parts["embedding"] = key
    return layers


def _parameter(layer: str, shapes: Mapping[str, tuple[int, ...]], free: Mapping[str, tuple[int, ...]]) -> str | None:
    """The parameter that a layer's factors change, or None.

    PEFT does not store which parameter of an expert module it adapts: the widths decide (A is [E R, I], B is
    [N, E R]), and among equals the first, since PEFT wraps a module's parameters in their order.
    """
    if "replacement" in shapes:
        return layer if layer in free else None
    if f"{layer}.weight" in free:
        return f"{layer}.weight"
    module, width = re.sub(r"(\.base_layer)+$", "", layer), (shapes["b"][0], shapes["a"][-1])
    for name, shape in free.items():
        if name.rpartition(".")[0] == module and len(shape) == 3 and shape[1:] == width:
            return name
    return None
