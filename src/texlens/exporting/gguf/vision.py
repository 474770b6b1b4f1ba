"""The vision tower and merger as a GGUF file of 16-bit weights (`mmproj`)."""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from texlens.exporting.gguf.tensors import GgufTensor, llama_name, write_tensors
from texlens.exporting.shards import StoredTensor
from texlens.models.families import Family, GgufExport
from texlens.models.processor import Processor

NAME_TABLE_BLOCKS = 64
"""Blocks for which the `gguf` package's table of names is made, at least."""
_PATCH_EMBEDDING = "visual.patch_embed.proj"
_DEEPSTACK = re.compile(r"visual\.deepstack_merger_list\.(\d+)\.(norm|linear_fc1|linear_fc2)\.(weight|bias)")
_MERGER = re.compile(r"visual\.merger\.(norm|linear_fc1|linear_fc2)\.(weight|bias)")


def write_vision_tower(
    path: Path,
    family: Family,
    export: GgufExport,
    config: Any,
    stored: Mapping[str, StoredTensor],
    processor: Processor,
) -> None:
    """
    Args:
        config: the transformers config of the whole model.
        stored: the checkpoint's tensors by parameter name.

    Raises:
        ExportError: a tensor without a name in llama.cpp.
    """
    import gguf

    writer: Any = gguf.GGUFWriter(str(path), gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.MMPROJ])
    writer.add_type(gguf.GGUFType.MMPROJ)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type(getattr(gguf.VisionProjectorType, export.projector))
    _add_sizes(writer, config)
    _add_image_settings(writer, processor)
    export.add_vision(writer, config)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.MMPROJ, max(config.vision_config.depth, NAME_TABLE_BLOCKS))
    layers = family.vision.deepstack_blocks(config.vision_config)
    tensors = [
        part
        for name, tensor in stored.items()
        if name.startswith("model.visual.")
        for part in _tensors(name.removeprefix("model."), tensor, names, layers, export.splits_qkv)
    ]
    write_tensors(writer, tensors, quantized=False)


def _add_sizes(writer: Any, config: Any) -> None:
    vision = config.vision_config
    writer.add_vision_projection_dim(config.text_config.hidden_size)
    writer.add_vision_patch_size(vision.patch_size)
    writer.add_vision_block_count(vision.depth)
    writer.add_vision_head_count(vision.num_heads)
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_spatial_merge_size(vision.spatial_merge_size)


def _add_image_settings(writer: Any, processor: Processor) -> None:
    geometry = processor.geometry
    writer.add_vision_image_mean(list(geometry.mean))
    writer.add_vision_image_std(list(geometry.std))
    writer.add_vision_min_pixels(geometry.min_pixels)
    writer.add_vision_max_pixels(geometry.max_pixels)


def _tensors(
    name: str, stored: StoredTensor, names: Any, deepstack: list[int], splits_qkv: bool
) -> Iterator[GgufTensor]:
    """The patch embedding is cut by frame, and queries, keys and values where llama.cpp stores them apart."""
    if name == f"{_PATCH_EMBEDDING}.weight":
        yield from _patch_embedding(stored)
    elif name == f"{_PATCH_EMBEDDING}.bias":
        yield GgufTensor("v.patch_embd.bias", stored.shape, stored.read)
    elif match := _DEEPSTACK.fullmatch(name):
        part = {"norm": "norm", "linear_fc1": "fc1", "linear_fc2": "fc2"}[match[2]]
        yield GgufTensor(f"v.deepstack.{deepstack[int(match[1])]}.{part}.{match[3]}", stored.shape, stored.read)
    elif match := _MERGER.fullmatch(name):
        target = {"norm": "v.post_ln", "linear_fc1": "mm.0", "linear_fc2": "mm.2"}[match[1]]
        yield GgufTensor(f"{target}.{match[2]}", stored.shape, stored.read)
    elif ".qkv." in name and splits_qkv:
        yield from _split_qkv(name, stored, names)
    else:
        yield GgufTensor(llama_name(names, name, stored), stored.shape, stored.read)


def _patch_embedding(stored: StoredTensor) -> Iterator[GgufTensor]:
    shape = (*stored.shape[:2], *stored.shape[3:])
    for frame, suffix in enumerate(("", ".1")):
        yield GgufTensor(f"v.patch_embd.weight{suffix}", shape, partial(_frame, stored, frame))


def _frame(stored: StoredTensor, frame: int) -> Tensor:
    return stored.read()[:, :, frame].contiguous()


def _split_qkv(name: str, stored: StoredTensor, names: Any) -> Iterator[GgufTensor]:
    third = stored.shape[0] // 3
    for index, letter in enumerate("qkv"):
        target = llama_name(names, name.replace("qkv", letter), stored)
        yield GgufTensor(target, (third, *stored.shape[1:]), partial(_rows, stored, index * third, third))


def _rows(stored: StoredTensor, start: int, count: int) -> Tensor:
    return stored.read()[start : start + count].contiguous()
