"""GGUF for llama.cpp: the language model with 8-bit weights in one file, tower and merger in 16 bit in another.

Tensor names come from the tables of the `gguf` package. What it has no table for (how the parts are cut and which
settings llama.cpp reads) follows llama.cpp's own converter (as llama-cpp-python 0.3.36 carries it).
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from texlens.adapters.merge import parameter_name
from texlens.core.errors import ExportError
from texlens.export.codec import require_package
from texlens.export.shards import StoredTensor, read_shard
from texlens.models.checkpoint import CONFIG, read_config, weight_files
from texlens.models.families import family_of
from texlens.models.meta_model import build_config
from texlens.models.processor import Processor

MODEL = "model.gguf"
PROJECTOR = "mmproj.gguf"
BLOCK = 32
"""Numbers that share a scale in Q8_0."""
ARCHITECTURES = {"qwen2_vl": "QWEN2VL", "qwen2_5_vl": "QWEN2VL", "qwen3_vl": "QWEN3VL", "qwen3_vl_moe": "QWEN3VLMOE"}
PROJECTORS = {"qwen2_vl": "QWEN2VL", "qwen2_5_vl": "QWEN25VL", "qwen3_vl": "QWEN3VL", "qwen3_vl_moe": "QWEN3VL"}
TOKEN_RULES = "qwen2"
"""How llama.cpp splits text before merging byte pairs."""


@dataclass(frozen=True)
class Part:
    """A tensor to write under llama.cpp's name; `shape` is torch's."""

    name: str
    shape: tuple[int, ...]
    read: Callable[[], Tensor]


def write_gguf(merged: Path, processor: Processor, folder: Path) -> dict[str, Any]:
    """`model.gguf` and `mmproj.gguf` of a merged checkpoint; what the card says of them.

    Raises:
        ExportError: the gguf package is missing, or a tensor has no name in llama.cpp.
    """
    version = require_package("gguf", "gguf", "gguf")
    config = read_config(merged)
    settings = build_config(config, str(merged / CONFIG))
    model_type = family_of(config).model_type
    _check_depth(settings)
    stored = {parameter_name(one.name): one for path in weight_files(merged) for one in read_shard(path)[0]}
    _write_language(folder / MODEL, model_type, settings, stored, processor)
    _write_vision(folder / PROJECTOR, model_type, settings, stored, processor)
    return {
        "method": "GGUF: language model Q8_0, tower and merger 16 bit",
        "gguf": version,
        "model": MODEL,
        "projector": PROJECTOR,
        "vision tower": "16 bit",
        "pixels a token": (processor.geometry.patch_size * processor.geometry.merge_size) ** 2,
    }


def _check_depth(settings: Any) -> None:
    """llama.cpp 0.3.36 aborts where an image's deep features reach the last layer of the language model.

    Raises:
        ExportError: they do.
    """
    deep = len(getattr(settings.vision_config, "deepstack_visual_indexes", None) or ())
    if deep >= settings.text_config.num_hidden_layers:
        raise ExportError(
            f"--format gguf: {deep} deepstack layers in a language model of {settings.text_config.num_hidden_layers}, "
            f"which llama.cpp can't run; use --format merged"
        )


def _write_language(
    path: Path, model_type: str, settings: Any, stored: Mapping[str, StoredTensor], processor: Processor
) -> None:
    import gguf

    text = settings.text_config
    architecture = gguf.MODEL_ARCH[ARCHITECTURES[model_type]]
    writer: Any = gguf.GGUFWriter(str(path), gguf.MODEL_ARCH_NAMES[architecture])
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(path.parent.name.strip(".").removesuffix(".partial"))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_block_count(text.num_hidden_layers)
    writer.add_context_length(text.max_position_embeddings)
    writer.add_embedding_length(text.hidden_size)
    writer.add_feed_forward_length(text.intermediate_size)
    writer.add_head_count(text.num_attention_heads)
    writer.add_head_count_kv(text.num_key_value_heads)
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_layer_norm_rms_eps(text.rms_norm_eps)
    rope = text.rope_parameters
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_dimension_sections([*rope["mrope_section"], 0, 0][:4])
    if model_type.startswith("qwen3"):
        writer.add_num_deepstack_layers(len(settings.vision_config.deepstack_visual_indexes))
    if model_type == "qwen3_vl_moe":
        writer.add_expert_count(text.num_experts)
        writer.add_expert_used_count(text.num_experts_per_tok)
        writer.add_expert_feed_forward_length(text.moe_intermediate_size)
    _add_tokens(writer, processor, text.vocab_size)
    names = gguf.get_tensor_name_map(architecture, text.num_hidden_layers)
    language = {name: one for name, one in stored.items() if not name.startswith("model.visual.")}
    _write(path, writer, [part for name, one in language.items() for part in _language_parts(name, one, names, text)])


def _language_parts(name: str, stored: StoredTensor, names: Any, text: Any) -> Iterator[Part]:
    """The tensor under its name there; a stack of experts is turned to [experts, out, in], gate and up apart."""
    plain = name.replace("model.language_model.", "model.")
    if len(stored.shape) != 3:
        yield Part(_named(names, plain, stored), stored.shape, stored.read)
        return
    base, which = plain.rpartition(".")[::2]
    experts, inner, width = text.num_experts, text.moe_intermediate_size, text.hidden_size
    outputs = 2 * inner if which == "gate_up_proj" else width
    turned = stored.shape[1] != outputs
    if which == "down_proj":
        target = _named(names, f"{base}.down_proj.weight", stored)
        yield Part(target, (experts, width, inner), lambda: _turned(stored, turned))
        return
    for at, half in enumerate(("gate_proj", "up_proj")):
        rows = slice(at * inner, (at + 1) * inner)
        target = _named(names, f"{base}.{half}.weight", stored)
        yield Part(target, (experts, inner, width), lambda rows=rows: _turned(stored, turned)[:, rows].contiguous())


def _turned(stored: StoredTensor, turned: bool) -> Tensor:
    return stored.read().transpose(1, 2).contiguous() if turned else stored.read()


def _write_vision(
    path: Path, model_type: str, settings: Any, stored: Mapping[str, StoredTensor], processor: Processor
) -> None:
    import gguf

    vision = settings.vision_config
    writer: Any = gguf.GGUFWriter(str(path), gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.MMPROJ])
    writer.add_type(gguf.GGUFType.MMPROJ)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type(getattr(gguf.VisionProjectorType, PROJECTORS[model_type]))
    width = vision.embed_dim if model_type == "qwen2_vl" else vision.hidden_size
    writer.add_vision_projection_dim(settings.text_config.hidden_size)
    writer.add_vision_patch_size(vision.patch_size)
    writer.add_vision_embedding_length(width)
    inner = int(width * vision.mlp_ratio) if model_type == "qwen2_vl" else vision.intermediate_size
    writer.add_vision_feed_forward_length(inner)
    writer.add_vision_block_count(vision.depth)
    writer.add_vision_head_count(vision.num_heads)
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_spatial_merge_size(vision.spatial_merge_size)
    geometry = processor.geometry
    writer.add_vision_image_mean(list(geometry.mean))
    writer.add_vision_image_std(list(geometry.std))
    writer.add_vision_min_pixels(geometry.min_pixels)
    writer.add_vision_max_pixels(geometry.max_pixels)
    if model_type.startswith("qwen3"):
        writer.add_vision_image_size(int(vision.num_position_embeddings**0.5) * vision.patch_size)
        writer.add_vision_use_gelu(True)
        writer.add_vision_is_deepstack_layers(
            [layer in vision.deepstack_visual_indexes for layer in range(vision.depth)]
        )
    else:
        writer.add_vision_image_size(560)
    if model_type == "qwen2_5_vl":
        writer.add_vision_use_silu(True)
        writer.add_vision_n_wa_pattern(vision.fullatt_block_indexes[0] + 1)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.MMPROJ, max(vision.depth, 64))
    parts = [
        part
        for name, one in stored.items()
        if name.startswith("model.visual.")
        for part in _vision_parts(name.removeprefix("model."), one, names, settings)
    ]
    _write(path, writer, parts, quantized=False)


def _vision_parts(name: str, stored: StoredTensor, names: Any, settings: Any) -> Iterator[Part]:
    """The patch embedding cut by frame, queries, keys and values apart where llama.cpp wants them so."""
    deepstack = getattr(settings.vision_config, "deepstack_visual_indexes", None)
    if name == "visual.patch_embed.proj.weight":
        shape = (*stored.shape[:2], *stored.shape[3:])
        for frame, end in enumerate(("", ".1")):
            target = f"v.patch_embd.weight{end}"
            yield Part(target, shape, lambda frame=frame: stored.read()[:, :, frame].contiguous())
        return
    if found := re.fullmatch(
        r"visual\.deepstack_merger_list\.(\d+)\.(norm|linear_fc1|linear_fc2)\.(weight|bias)", name
    ):
        layer = (deepstack or [])[int(found[1])]
        part = {"norm": "norm", "linear_fc1": "fc1", "linear_fc2": "fc2"}[found[2]]
        yield Part(f"v.deepstack.{layer}.{part}.{found[3]}", stored.shape, stored.read)
        return
    if found := re.fullmatch(r"visual\.merger\.(norm|linear_fc1|linear_fc2)\.(weight|bias)", name):
        target = {"norm": "v.post_ln", "linear_fc1": "mm.0", "linear_fc2": "mm.2"}[found[1]]
        yield Part(f"{target}.{found[2]}", stored.shape, stored.read)
        return
    if ".qkv." in name and deepstack is None:
        third = stored.shape[0] // 3
        for at, one in enumerate("qkv"):
            target = _named(names, name.replace("qkv", one), stored)
            rows = slice(at * third, (at + 1) * third)
            yield Part(target, (third, *stored.shape[1:]), lambda rows=rows: stored.read()[rows].contiguous())
        return
    if name == "visual.patch_embed.proj.bias":
        yield Part("v.patch_embd.bias", stored.shape, stored.read)
        return
    yield Part(_named(names, name, stored), stored.shape, stored.read)


def _named(names: Any, name: str, stored: StoredTensor) -> str:
    found = names.get_name(name, try_suffixes=(".weight", ".bias"))
    if found is None:
        raise ExportError(f"{stored.path}: {stored.name} has no name in llama.cpp's tables; use --format merged")
    return found


def _write(path: Path, writer: Any, parts: Sequence[Part], *, quantized: bool = True) -> None:
    """Headers first, then one tensor at a time, so that memory holds one."""
    import gguf

    def kind(part: Part) -> Any:
        if len(part.shape) == 1 or "position_embd" in part.name or "ffn_gate_inp" in part.name:
            return gguf.GGMLQuantizationType.F32
        wide = quantized and part.shape[-1] % BLOCK == 0
        return gguf.GGMLQuantizationType.Q8_0 if wide else gguf.GGMLQuantizationType.F16

    for part in parts:
        block, size = gguf.GGML_QUANT_SIZES[kind(part)]
        count = 1
        for side in part.shape:
            count *= side
        plain = kind(part) is not gguf.GGMLQuantizationType.Q8_0
        numpy_type = _numpy(kind(part)) if plain else _numpy(None)
        shape = part.shape if plain else gguf.quant_shape_to_byte_shape(part.shape, kind(part))
        writer.add_tensor_info(part.name, shape, numpy_type, count // block * size, None if plain else kind(part))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for part in parts:
        writer.write_tensor_data(gguf.quants.quantize(part.read().to(torch.float32).numpy(), kind(part)))
    writer.close()


def _numpy(kind: Any) -> Any:
    import gguf
    import numpy as np

    types = {gguf.GGMLQuantizationType.F32: np.float32, gguf.GGMLQuantizationType.F16: np.float16}
    return np.dtype(types.get(kind, np.uint8))


def _add_tokens(writer: Any, processor: Processor, vocabulary: int) -> None:
    """Every token with its kind, merges, the tokens with a role, and the chat template."""
    import gguf

    tokenizer: Any = processor.tokenizer
    by_id = {number: token for token, number in tokenizer.get_vocab().items()}
    added = tokenizer.added_tokens_decoder
    tokens, kinds = [], []
    for number in range(vocabulary):
        token = by_id.get(number)
        tokens.append(f"[PAD{number}]" if token is None else token)
        if token is None:
            kinds.append(gguf.TokenType.UNUSED)
        elif number in added:
            kinds.append(gguf.TokenType.CONTROL if added[number].special else gguf.TokenType.USER_DEFINED)
        else:
            kinds.append(gguf.TokenType.NORMAL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(TOKEN_RULES)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(_merges(tokenizer))
    writer.add_eos_token_id(processor.end_token_id)
    writer.add_pad_token_id(processor.pad_token_id)
    writer.add_add_bos_token(False)
    writer.add_chat_template(tokenizer.chat_template)


def _merges(tokenizer: Any) -> list[str]:
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
