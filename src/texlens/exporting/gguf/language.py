"""The language model as a GGUF file; stacked experts are stored as [experts, out, in] with gate and up apart."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from texlens.exporting.decoding import Decoding
from texlens.exporting.gguf.tensors import GgufTensor, llama_name, write_tensors
from texlens.exporting.gguf.tokens import add_tokens
from texlens.exporting.shards import StoredTensor
from texlens.models.families import GgufExport, TextTensor
from texlens.models.processor import Processor


def write_language_model(
    path: Path,
    export: GgufExport,
    config: Any,
    stored: Mapping[str, StoredTensor],
    processor: Processor,
    decoding: Decoding,
    *,
    quantized: bool,
) -> None:
    """
    Args:
        quantized: matrices are Q8_0, else float16.
        config: the transformers config of the whole model.
        stored: the checkpoint's tensors by parameter name.

    Raises:
        ExportError: a tensor without a name in llama.cpp.
    """
    import gguf

    text = config.text_config
    architecture = gguf.MODEL_ARCH[export.architecture]
    writer: Any = gguf.GGUFWriter(str(path), gguf.MODEL_ARCH_NAMES[architecture])
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(path.parent.name.strip(".").removesuffix(".partial"))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if quantized else gguf.LlamaFileType.MOSTLY_F16)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _add_decoding(writer, decoding)
    _add_sizes(writer, text)
    export.add_text(writer, config)
    add_tokens(writer, processor, text.vocab_size, text.bos_token_id, export.pre_tokenizer)
    names = gguf.get_tensor_name_map(architecture, text.num_hidden_layers)
    language = {name: tensor for name, tensor in stored.items() if not name.startswith(("model.visual.", "mtp."))}
    change = export.text_tensor
    tensors = [part for name, tensor in language.items() for part in _tensors(name, tensor, names, text, change)]
    write_tensors(writer, tensors, quantized=quantized)


def _add_decoding(writer: Any, decoding: Decoding) -> None:
    """Defaults of llama.cpp's programs where the command line has none."""
    writer.add_sampling_temp(decoding.temperature)
    writer.add_sampling_top_k(0)
    writer.add_sampling_top_p(1.0)
    writer.add_sampling_min_p(0.0)
    writer.add_sampling_penalty_repeat(1.0)


def _add_sizes(writer: Any, text: Any) -> None:
    writer.add_block_count(text.num_hidden_layers)
    writer.add_context_length(text.max_position_embeddings)
    writer.add_embedding_length(text.hidden_size)
    if (width := getattr(text, "intermediate_size", None)) is not None:
        writer.add_feed_forward_length(width)
    writer.add_head_count(text.num_attention_heads)
    writer.add_head_count_kv(text.num_key_value_heads)
    head_width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    writer.add_key_length(head_width)
    writer.add_value_length(head_width)
    writer.add_layer_norm_rms_eps(text.rms_norm_eps)
    rope = text.rope_parameters
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_dimension_sections([*rope["mrope_section"], 0, 0][:4])


def _tensors(
    name: str, stored: StoredTensor, names: Any, text: Any, text_tensor: TextTensor | None
) -> Iterator[GgufTensor]:
    name = name.replace("model.language_model.", "model.")
    if ".experts." in name:
        yield from _expert_tensors(name, stored, names, text)
        return
    name, change = (name, None) if text_tensor is None else text_tensor(name, text)
    target = llama_name(names, name, stored)
    if change is None:
        yield GgufTensor(target, stored.shape, stored.read)
        return
    shape = tuple(change(torch.empty(stored.shape, device="meta")).shape)
    yield GgufTensor(target, shape, partial(_changed, stored, change))


def _changed(stored: StoredTensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    return change(stored.read())


def _expert_tensors(name: str, stored: StoredTensor, names: Any, text: Any) -> Iterator[GgufTensor]:
    base, kind = name.rpartition(".")[::2]
    experts, inner, width = text.num_experts, text.moe_intermediate_size, text.hidden_size
    transposed = stored.shape[1] != (2 * inner if kind == "gate_up_proj" else width)
    if kind == "down_proj":
        target = llama_name(names, f"{base}.down_proj.weight", stored)
        yield GgufTensor(target, (experts, width, inner), partial(_expert_rows, stored, transposed, 0, width))
        return
    for index, half in enumerate(("gate_proj", "up_proj")):
        target = llama_name(names, f"{base}.{half}.weight", stored)
        start = index * inner
        yield GgufTensor(
            target, (experts, inner, width), partial(_expert_rows, stored, transposed, start, start + inner)
        )


def _expert_rows(stored: StoredTensor, transposed: bool, start: int, stop: int) -> Tensor:
    weight = stored.read()
    return (weight.transpose(1, 2) if transposed else weight)[:, start:stop].contiguous()
