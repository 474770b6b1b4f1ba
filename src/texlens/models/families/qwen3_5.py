"""Qwen3.5, 3.6 and 3.8 (`qwen3_5`, `qwen3_5_moe`): three of four decoder layers are gated delta nets.

The delta net (Yang et al. 2025, arXiv:2412.06464) keeps a state instead of keys and values; every fourth layer is full
attention with an output gate. Norms multiply by 1 + weight, and a quarter of a head's width turns with the position.
The tower is Qwen3-VL's without deepstack. A checkpoint's `mtp.*` tensors predict further tokens; they are not trained.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

from texlens.models.families.family import GgufExport, VisionAttributes
from texlens.models.families.module_names import ATTENTION_LAYERS, DECODER_LAYER, MLP_LAYERS, VISION_BLOCK
from texlens.models.families.qwen3_vl import QWEN3_VL, VISION_LAYERS

DELTA_NET_LAYERS = DECODER_LAYER + r"linear_attn\.(in_proj_qkv|in_proj_z|in_proj_b|in_proj_a|out_proj)"
SHARED_EXPERT = DECODER_LAYER + r"mlp\.shared_expert\.(gate_proj|up_proj|down_proj)"
SHARED_EXPERT_GATE = DECODER_LAYER + r"mlp\.shared_expert_gate"
MERGER = r"model\.visual\.merger\.(linear_fc1|linear_fc2)"
NF4_WARNING = (
    "4-bit bases of this family lose more than those of others, and its authors advise against training on them; "
    "set base.quantize: none (bf16), or fp8"
)


def _groups(mlp: str) -> MappingProxyType[str, str]:
    return MappingProxyType(
        {
            "text-attention": f"({ATTENTION_LAYERS}|{DELTA_NET_LAYERS})",
            "text-mlp": mlp,
            "vision": VISION_BLOCK + VISION_LAYERS,
            "merger": MERGER,
        }
    )


# GGUF: llama.cpp's converter stores the decay itself, norms with their 1, and value heads in another order -----------


def _add_text_settings(writer: Any, config: Any) -> None:
    text = config.text_config
    inner = text.linear_num_value_heads * text.linear_value_head_dim
    writer.add_ssm_conv_kernel(text.linear_conv_kernel_dim)
    writer.add_ssm_state_size(text.linear_key_head_dim)
    writer.add_ssm_group_count(text.linear_num_key_heads)
    writer.add_ssm_time_step_rank(text.linear_num_value_heads)
    writer.add_ssm_inner_size(inner)
    writer.add_full_attention_interval(_full_attention_interval(text))
    writer.add_rope_dimension_count(int(text.head_dim * text.rope_parameters["partial_rotary_factor"]))


def _add_moe_text_settings(writer: Any, config: Any) -> None:
    _add_text_settings(writer, config)
    text = config.text_config
    writer.add_expert_count(text.num_experts)
    writer.add_expert_used_count(text.num_experts_per_tok)
    writer.add_expert_feed_forward_length(text.moe_intermediate_size)
    writer.add_expert_shared_feed_forward_length(text.shared_expert_intermediate_size)


def _full_attention_interval(text: Any) -> int:
    return text.layer_types.index("full_attention") + 1


def _add_vision_settings(writer: Any, config: Any) -> None:
    vision = config.vision_config
    writer.add_vision_embedding_length(vision.hidden_size)
    writer.add_vision_feed_forward_length(vision.intermediate_size)
    writer.add_vision_image_size(int(vision.num_position_embeddings**0.5) * vision.patch_size)
    writer.add_vision_use_gelu(True)
    writer.add_vision_is_deepstack_layers([False] * vision.depth)


def _text_tensor(name: str, text: Any) -> tuple[str, Callable[[Any], Any] | None]:
    """See `TextTensor`. Value heads are stored in the order of the tile (all heads of the first key heads'
    turn, then those of the next), because llama.cpp repeats key heads as a whole."""
    part = name.rpartition("linear_attn.")[2] if "linear_attn." in name else None
    if part is None:
        if name.endswith("shared_expert_gate.weight"):
            return name, _vector
        return name, _plus_one if name.endswith("norm.weight") else None
    keys, values, width = text.linear_num_key_heads, text.linear_num_value_heads, text.linear_value_head_dim
    tiled = partial(_tiled, keys=keys, repeats=values // keys)
    key_rows = 2 * keys * text.linear_key_head_dim
    changes: dict[str, Callable[[Any], Any]] = {
        "in_proj_qkv.weight": lambda weight: _after(weight, key_rows, partial(tiled, width=width)),
        "in_proj_z.weight": partial(tiled, width=width),
        "in_proj_b.weight": partial(tiled, width=1),
        "in_proj_a.weight": partial(tiled, width=1),
        "A_log": lambda log: tiled(-log.float().exp(), width=1),
        "dt_bias": partial(tiled, width=1),
        "conv1d.weight": lambda kernel: _after(kernel.squeeze(1), key_rows, partial(tiled, width=width)),
        "out_proj.weight": lambda weight: tiled(weight.T, width=width).T.contiguous(),
    }
    return name.replace("dt_bias", "dt_proj.bias"), changes.get(part)


def _vector(tensor: Any) -> Any:
    return tensor.squeeze(0)


def _plus_one(tensor: Any) -> Any:
    return tensor.float() + 1


def _tiled(tensor: Any, *, keys: int, repeats: int, width: int) -> Any:
    """Rows [keys * repeats * width, ...], grouped by key head, in the order [repeats, keys, width]."""
    heads = tensor.unflatten(0, (keys, repeats, width))
    return heads.transpose(0, 1).flatten(0, 2).contiguous()


def _after(tensor: Any, rows: int, change: Callable[[Any], Any]) -> Any:
    """The first `rows` rows as they are, the others changed."""
    result = tensor.clone()
    result[rows:] = change(tensor[rows:])
    return result


GGUF_FORM: dict[str, Any] = {"text_tensor": _text_tensor, "pre_tokenizer": "qwen35"}

QWEN3_5 = replace(
    QWEN3_VL,
    model_type="qwen3_5",
    title="Qwen3.5",
    class_name="Qwen3_5ForConditionalGeneration",
    groups=_groups(MLP_LAYERS),
    rope_sections=(11, 11, 10),
    vision=VisionAttributes(position_count="num_position_embeddings"),
    gguf=GgufExport("QWEN35", "QWEN3VL", _add_text_settings, _add_vision_settings, **GGUF_FORM),
    zero_centered_norms=True,
    gated_attention=True,
    thinks=True,
    kept_in_16_bits=DECODER_LAYER + r"linear_attn\.(in_proj_b|in_proj_a)",
    nf4_warning=NF4_WARNING,
    min_transformers="5.2",
)

QWEN3_5_MOE = replace(
    QWEN3_5,
    model_type="qwen3_5_moe",
    title="Qwen3.5-MoE",
    class_name="Qwen3_5MoeForConditionalGeneration",
    groups=_groups(SHARED_EXPERT),
    gguf=GgufExport("QWEN35MOE", "QWEN3VL", _add_moe_text_settings, _add_vision_settings, **GGUF_FORM),
    expert_parameters=DECODER_LAYER + r"mlp\.experts\.(gate_up_proj|down_proj)",
    router=DECODER_LAYER + r"mlp\.gate",
    mixture_modules=("mlp.gate", "mlp.experts", "mlp.shared_expert_gate"),
    uncovered=SHARED_EXPERT_GATE,
)
