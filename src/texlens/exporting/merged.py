"""The merged checkpoint: the base's own shards under their own names, with the adapter folded in, block by block."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from texlens.adapters.merge import Change, Merge, named_shapes
from texlens.core.errors import ExportError
from texlens.core.files import write_json
from texlens.exporting.portable_config import portable_config, write_portable_config
from texlens.exporting.shards import FLOATS, StoredTensor, TensorWriter, as_bytes, read_shard, write_shard
from texlens.models.checkpoint import CONFIG, INDEX, read_config, weight_files
from texlens.models.families import EMBEDDING, HEAD
from texlens.models.families.stored_names import parameter_name
from texlens.models.meta_model import meta_model

HEAD_WEIGHT = f"{HEAD}.weight"
EMBEDDING_WEIGHT = f"{EMBEDDING}.weight"


def write_merged(base: Path, adapter: Path, folder: Path) -> list[str]:
    """Writes config and weights into `folder`, which exists; returns the names of the parameters that changed.

    A head that the base ties to its embedding is untied only if the adapter changes the two differently.

    Raises:
        ModelError: the adapter can't be merged, or does not fit.
        ExportError: the base's weights are quantized, or an adapted parameter is not among them.
    """
    config = read_config(base)
    if quantized := config.get("quantization_config"):
        method = quantized.get("quant_method", "quantized") if isinstance(quantized, dict) else "quantized"
        raise ExportError(
            f"{base / CONFIG}: these weights are {method}, and an update rounded to so few bits is lost; "
            f"merge into the unquantized checkpoint (set model.path to it and train on it with base.quantize)"
        )
    merge = Merge(adapter, named_shapes(meta_model(config, str(base / CONFIG))))
    shards = [read_shard(path) for path in weight_files(base)]
    stored = {parameter_name(tensor.name): tensor for tensors, _ in shards for tensor in tensors}
    head = _head(merge, config, stored)
    if missing := [name for name in merge.names if name not in stored and name != HEAD_WEIGHT]:
        raise ExportError(
            f"{base}: no tensor for {missing[0]}, which the adapter changes; use the base it was trained on"
        )
    for path, (tensors, metadata) in zip(weight_files(base), shards, strict=True):
        writers = [_writer(merge, tensor) for tensor in tensors]
        if head and any(tensor.name == stored[EMBEDDING_WEIGHT].name for tensor in tensors):
            writers.append(head)
        write_shard(folder / path.name, writers, metadata)
    _write_config(base, folder, config, stored[EMBEDDING_WEIGHT] if head else None)
    return list(merge.names)


def is_tied(config: Mapping) -> bool:
    """Whether head and embedding are one parameter; some checkpoints state it in their text config alone."""
    tied = config.get("tie_word_embeddings")
    text = config.get("text_config") or {}
    return bool(text.get("tie_word_embeddings", False) if tied is None else tied)


def _writer(merge: Merge, stored: StoredTensor) -> TensorWriter:
    name = parameter_name(stored.name)
    if name not in merge:
        return TensorWriter.copied(stored)
    if stored.dtype not in FLOATS:
        raise ExportError(
            f"{stored.path}: {stored.name} is {stored.dtype}, and an update can't be added to that; "
            f"merge into the unquantized checkpoint"
        )
    change = merge.change(name, stored.shape)
    return TensorWriter(stored.name, stored.dtype, stored.shape, lambda: _merged(change, stored))


def _merged(change: Change, stored: StoredTensor) -> Iterator[memoryview]:
    for block, start in stored.blocks():
        yield as_bytes(change.rows(block, start).to(stored.torch_dtype))


def _head(merge: Merge, config: Mapping, stored: Mapping[str, StoredTensor]) -> TensorWriter | None:
    """The head as a separate tensor, if the base ties it and the adapter makes it differ from the embedding."""
    if not is_tied(config) or HEAD_WEIGHT in stored or not {HEAD_WEIGHT, EMBEDDING_WEIGHT} & set(merge.names):
        return None
    embedding = stored[EMBEDDING_WEIGHT]
    head, body = (
        merge.change(name, embedding.shape) if name in merge else None for name in (HEAD_WEIGHT, EMBEDDING_WEIGHT)
    )
    if head and body and _same(head, body, embedding):
        return None
    chunks = embedding.raw if head is None else lambda: _merged(head, embedding)
    return TensorWriter(HEAD_WEIGHT, embedding.dtype, embedding.shape, chunks)


def _same(left: Change, right: Change, stored: StoredTensor) -> bool:
    return all(
        torch.equal(left.rows(block, start).to(block.dtype), right.rows(block, start).to(block.dtype))
        for block, start in stored.blocks()
    )


def _write_config(base: Path, folder: Path, config: dict, untied: StoredTensor | None) -> None:
    """Config and index, unchanged except for a head that is no longer tied."""
    index = base / INDEX
    if untied is None:
        write_portable_config(base / CONFIG, folder / CONFIG)
        if index.is_file():
            shutil.copyfile(index, folder / INDEX)
        return
    text = {"text_config": {**config["text_config"], "tie_word_embeddings": False}} if "text_config" in config else {}
    write_json(folder / CONFIG, portable_config({**config, **text, "tie_word_embeddings": False}))
    if index.is_file():
        content = json.loads(index.read_text(encoding="utf-8"))
        content["weight_map"][HEAD_WEIGHT] = untied.path.name
        if "total_size" in content.get("metadata", {}):
            content["metadata"]["total_size"] += untied.nbytes
        write_json(folder / INDEX, content)
