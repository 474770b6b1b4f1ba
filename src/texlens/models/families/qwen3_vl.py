"""Qwen3-VL: normalized queries and keys, interleaved M-RoPE, features of several tower blocks (deepstack)."""

from typing import Any

from texlens.models.families.family import Family, GgufExport, VisionAttributes
from texlens.models.families.module_names import linear_groups

VISION_LAYERS = r"(attn\.(qkv|proj)|mlp\.(linear_fc1|linear_fc2))"
MERGER = r"model\.visual\.(merger|deepstack_merger_list\.\d+)\.(linear_fc1|linear_fc2)"
HALF = (0.5, 0.5, 0.5)


def add_deepstack_count(writer: Any, config: Any) -> None:
    writer.add_num_deepstack_layers(len(config.vision_config.deepstack_visual_indexes))


def add_vision_settings(writer: Any, config: Any) -> None:
    vision = config.vision_config
    writer.add_vision_embedding_length(vision.hidden_size)
    writer.add_vision_feed_forward_length(vision.intermediate_size)
    writer.add_vision_image_size(int(vision.num_position_embeddings**0.5) * vision.patch_size)
    writer.add_vision_use_gelu(True)
    writer.add_vision_is_deepstack_layers([layer in vision.deepstack_visual_indexes for layer in range(vision.depth)])


QWEN3_VL = Family(
    model_type="qwen3_vl",
    title="Qwen3-VL",
    class_name="Qwen3VLForConditionalGeneration",
    processor_class="Qwen3VLProcessor",
    video_processor_class="Qwen3VLVideoProcessor",
    groups=linear_groups(VISION_LAYERS, MERGER),
    patch_size=16,
    min_pixels=65_536,
    max_pixels=16_777_216,
    mean=HALF,
    std=HALF,
    rope_sections=(24, 20, 20),
    rope_layout="interleaved",
    head_norms=True,
    vision=VisionAttributes(deepstack="deepstack_visual_indexes", position_count="num_position_embeddings"),
    gguf=GgufExport("QWEN3VL", "QWEN3VL", add_deepstack_count, add_vision_settings),
)
