"""A quantized checkpoint from a merged one: shard by shard, the chosen layers encoded, everything else copied."""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from torch import Tensor

from texlens.adapters.model_layout import LinearSpec, linear_layers
from texlens.core.files import write_json
from texlens.exporting.quantization.codec import Codec
from texlens.exporting.shards import StoredTensor, TensorWriter, read_shard, write_shard
from texlens.models.checkpoint import CONFIG, INDEX, read_config, weight_files
from texlens.models.families import HEAD, Family, family_of
from texlens.models.families.stored_names import parameter_name
from texlens.models.meta_model import meta_model

TEXT_GROUPS = ("text-attention", "text-mlp")
VISION_GROUPS = ("vision", "merger")
TOWER = "visual"


def chosen_layers(folder: Path, *, vision: bool, multiple_of: int = 1) -> list[LinearSpec]:
    """The linear layers to quantize: those of the language model, and with `vision` those of the tower and merger.

    Stacked experts, router, embedding and head keep their type, and so do layers whose number of inputs is not a
    multiple of `multiple_of`, and those that the family keeps in 16 bits.
    """
    model = meta_model(read_config(folder), str(folder / CONFIG))
    family = family_of(read_config(folder))
    groups = TEXT_GROUPS + (VISION_GROUPS if vision else ())
    return [
        layer
        for layer in linear_layers(model)
        if family.group_of(layer.name) in groups
        and layer.inputs % multiple_of == 0
        and not (family.kept_in_16_bits and re.fullmatch(family.kept_in_16_bits, layer.name))
    ]


def write_quantized(
    merged: Path,
    folder: Path,
    codec: Codec,
    layers: Collection[str],
    rescaled: Mapping[str, Tensor] = MappingProxyType({}),
) -> None:
    """Writes config, index and shards into `folder`, which exists; memory holds one shard at a time.

    `rescaled` are parameters, by name, that calibration changed although they are not quantized.
    """
    config = read_config(merged)
    weight_map: dict[str, str] = {}
    total_size = 0
    for path in weight_files(merged):
        tensors, metadata = read_shard(path)
        writers = [writer for stored in tensors for writer in _writers(stored, codec, layers, rescaled)]
        write_shard(folder / path.name, writers, metadata or {"format": "pt"})
        weight_map.update((writer.name, path.name) for writer in writers)
        total_size += sum(writer.nbytes for writer in writers)
    if (merged / INDEX).is_file():
        index = json.loads((merged / INDEX).read_text(encoding="utf-8"))
        write_json(folder / INDEX, {**index, "metadata": {"total_size": total_size}, "weight_map": weight_map})
    names = [layer.name for layer in linear_layers(meta_model(config))]
    unquantized = unquantized_modules(names, layers, family_of(config))
    write_json(folder / CONFIG, {**config, "quantization_config": codec.settings(unquantized)})


def quantized_bytes(weights: Iterable[Path], layers: Collection[str], size_ratio: float) -> int:
    """Size of the weights once the chosen layers have shrunk to `size_ratio`."""
    total = 0.0
    for path in weights:
        for stored in read_shard(path)[0]:
            total += stored.nbytes * size_ratio if _layer_name(stored) in layers else stored.nbytes
    return int(total)


def unquantized_modules(linears: Sequence[str], layers: Collection[str], family: Family) -> list[str]:
    """Names for loaders of what keeps 16 bits: the head, routers and experts of a mixture, the whole tower if no layer
    of it is chosen, single layers.

    Routers and experts are not linear layers in transformers but are in vLLM. Names are short, because other programs
    name the modules above them differently.
    """
    unquantized = [name for name in linears if name not in layers]
    tower = [name for name in linears if family.group_of(name) in VISION_GROUPS]
    names = [HEAD, *family.mixture_modules]
    if tower and not any(name in layers for name in tower):
        names.append(TOWER)
        unquantized = [name for name in unquantized if name not in tower]
    return names + [name.removeprefix("model.") for name in unquantized if name != HEAD]


def _writers(
    stored: StoredTensor, codec: Codec, layers: Collection[str], rescaled: Mapping[str, Tensor]
) -> list[TensorWriter]:
    if (tensor := rescaled.get(parameter_name(stored.name))) is not None:
        return [TensorWriter.of(stored.name, tensor.to(stored.torch_dtype))]
    layer = _layer_name(stored)
    if layer not in layers:
        return [TensorWriter.copied(stored)]
    prefix = stored.name.removesuffix("weight")
    return [TensorWriter.of(prefix + name, tensor) for name, tensor in codec.encode(layer, stored.read()).items()]


def _layer_name(stored: StoredTensor) -> str:
    name = parameter_name(stored.name)
    return name.removesuffix(".weight") if name.endswith(".weight") else ""
