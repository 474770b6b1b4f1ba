"""Qwen3-VL with a mixture of experts in each decoder layer."""

from dataclasses import replace
from typing import Any

from texlens.models.families.family import GgufExport
from texlens.models.families.module_names import DECODER_LAYER
from texlens.models.families.qwen3_vl import QWEN3_VL, add_deepstack_count, add_vision_settings


def _add_text_settings(writer: Any, config: Any) -> None:
    add_deepstack_count(writer, config)
    text = config.text_config
    writer.add_expert_count(text.num_experts)
    writer.add_expert_used_count(text.num_experts_per_tok)
    writer.add_expert_feed_forward_length(text.moe_intermediate_size)


QWEN3_VL_MOE = replace(
    QWEN3_VL,
    model_type="qwen3_vl_moe",
    title="Qwen3-VL-MoE",
    class_name="Qwen3VLMoeForConditionalGeneration",
    gguf=GgufExport("QWEN3VLMOE", "QWEN3VL", _add_text_settings, add_vision_settings),
    expert_parameters=DECODER_LAYER + r"mlp\.experts\.(gate_up_proj|down_proj)",
    router=DECODER_LAYER + r"mlp\.gate",
    mixture_modules=("mlp.gate", "mlp.experts"),
)
