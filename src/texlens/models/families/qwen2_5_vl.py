"""Qwen2.5-VL (arXiv:2502.13923): as Qwen2-VL, with attention within windows and a gated MLP in the tower."""

from dataclasses import replace
from typing import Any

from texlens.models.families.family import GgufExport, VisionAttributes
from texlens.models.families.module_names import linear_groups
from texlens.models.families.qwen2_vl import GGUF_IMAGE_SIZE, MERGER, QWEN2_VL, add_no_text_settings


def _add_vision_settings(writer: Any, config: Any) -> None:
    vision = config.vision_config
    writer.add_vision_embedding_length(vision.hidden_size)
    writer.add_vision_feed_forward_length(vision.intermediate_size)
    writer.add_vision_image_size(GGUF_IMAGE_SIZE)
    writer.add_vision_use_silu(True)
    writer.add_vision_n_wa_pattern(vision.fullatt_block_indexes[0] + 1)


QWEN2_5_VL = replace(
    QWEN2_VL,
    model_type="qwen2_5_vl",
    title="Qwen2.5-VL",
    class_name="Qwen2_5_VLForConditionalGeneration",
    processor_class="Qwen2_5_VLProcessor",
    groups=linear_groups(r"(attn\.(qkv|proj)|mlp\.(gate_proj|up_proj|down_proj))", MERGER),
    vision=VisionAttributes(full_attention="fullatt_block_indexes", window="window_size"),
    gguf=GgufExport("QWEN2VL", "QWEN25VL", add_no_text_settings, _add_vision_settings, splits_qkv=True),
)
