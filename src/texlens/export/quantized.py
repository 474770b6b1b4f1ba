"""A quantized checkpoint from a merged one: shard by shard, the chosen layers encoded, everything else copied."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from torch import Tensor

from texlens.adapters.merge import parameter_name
from texlens.adapters.model_layout import Linear, linear_layers
from texlens.core.files import write_json
from texlens.export.codec import Codec
from texlens.export.shards import StoredTensor, TensorWriter, read_shard, write_shard
from texlens.models.checkpoint import CONFIG, INDEX, read_config, weight_files
from texlens.models.families import HEAD, Family, family_of
from texlens.models.meta_model import meta_model

TEXT_GROUPS = ("text-attention", "text-mlp")
VISION_GROUPS = ("vision", "merger")
TOWER = "visual"


def chosen_layers(folder: Path, *, vision: bool, multiple_of: int = 1) -> list[Linear]:
    """The linear layers to quantize: of the language model, and with `vision` of the tower and merger.

    Stacked experts, router, embedding and head stay as they are, and so do layers whose inputs are no whole number of
    `multiple_of`.
    """
    model = meta_model(read_config(folder), str(folder / CONFIG))
    family = family_of(read_config(folder))
    groups = TEXT_GROUPS + (VISION_GROUPS if vision else ())
    return [
        layer
        for layer in linear_layers(model)
        if family.group_of(layer.name) in groups and layer.inputs % multiple_of == 0
    ]


def write_quantized(
    merged: Path,
    folder: Path,
    codec: Codec,
    layers: Collection[str],
    replaced: Mapping[str, Tensor] = MappingProxyType({}),
) -> None:
    """Config, index and shards into `folder`, which exists; memory holds one shard at a time.

    `replaced` are parameters, by name, that calibration changed though they stay in 16 bit.
    """
    config = read_config(merged)
    placed: dict[str, str] = {}
    total = 0
    for path in weight_files(merged):
        tensors, metadata = read_shard(path)
        written = [part for stored in tensors for part in _encoded(stored, codec, layers, replaced)]
        write_shard(folder / path.name, written, metadata or {"format": "pt"})
        placed.update((part.name, path.name) for part in written)
        total += sum(part.size for part in written)
    if (merged / INDEX).is_file():
        told = json.loads((merged / INDEX).read_text(encoding="utf-8"))
        write_json(folder / INDEX, {**told, "metadata": {"total_size": total}, "weight_map": placed})
    kept = kept_modules([layer.name for layer in linear_layers(meta_model(config))], layers, family_of(config))
    write_json(folder / CONFIG, {**config, "quantization_config": codec.settings(kept)})


def quantized_bytes(merged_weights: Iterable[Path], layers: Collection[str], share: float) -> int:
    """What the weights will take when the chosen layers shrink to `share`."""
    total = 0.0
    for path in merged_weights:
        for stored in read_shard(path)[0]:
            size = stored.end - stored.begin
            total += size * share if _layer(stored) in layers else size
    return int(total)


def kept_modules(linears: Sequence[str], layers: Collection[str], family: Family) -> list[str]:
    """Names for loaders of what stays in 16 bit: the head, the whole tower where none of it is chosen, single layers.

    Short names, because other programs (vLLM) name the modules above them otherwise.
    """
    kept = [name for name in linears if name not in layers]
    tower = [name for name in linears if family.group_of(name) in VISION_GROUPS]
    names = [HEAD]
    if tower and not any(name in layers for name in tower):
        names.append(TOWER)
        kept = [name for name in kept if name not in tower]
    return names + [name.removeprefix("model.") for name in kept if name != HEAD]


def _encoded(
    stored: StoredTensor, codec: Codec, layers: Collection[str], replaced: Mapping[str, Tensor]
) -> list[TensorWriter]:
    layer = _layer(stored)
    if (changed := replaced.get(parameter_name(stored.name))) is not None:
        return [TensorWriter.of(stored.name, changed.to(stored.torch_dtype))]
    if layer not in layers:
        return [TensorWriter.copied(stored)]
    below = stored.name.removesuffix("weight")
    return [TensorWriter.of(below + name, part) for name, part in codec.encode(layer, stored.read()).items()]


def _layer(stored: StoredTensor) -> str:
    name = parameter_name(stored.name)
    return name.removesuffix(".weight") if name.endswith(".weight") else ""
