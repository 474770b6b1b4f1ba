"""Qwen2-VL (arXiv:2409.12191)."""

from typing import Any

from texlens.models.families.family import Family, GgufExport, VisionAttributes
from texlens.models.families.module_names import linear_groups

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
MERGER = r"model\.visual\.merger\.mlp\.(0|2)"
GGUF_IMAGE_SIZE = 560
"""What llama.cpp's converter writes for towers without a table of positions."""


def add_no_text_settings(writer: Any, config: Any) -> None:
    """All settings of the language model are common to the families."""


def _add_vision_settings(writer: Any, config: Any) -> None:
    vision = config.vision_config
    writer.add_vision_embedding_length(vision.embed_dim)
    writer.add_vision_feed_forward_length(vision.hidden_size)  # as llama.cpp's converter writes it
    writer.add_vision_image_size(GGUF_IMAGE_SIZE)


QWEN2_VL = Family(
    model_type="qwen2_vl",
    title="Qwen2-VL",
    class_name="Qwen2VLForConditionalGeneration",
    processor_class="Qwen2VLProcessor",
    video_processor_class="Qwen2VLVideoProcessor",
    groups=linear_groups(r"(attn\.(qkv|proj)|mlp\.(fc1|fc2))", MERGER),
    patch_size=14,
    min_pixels=3136,
    max_pixels=12_845_056,
    mean=CLIP_MEAN,
    std=CLIP_STD,
    rope_sections=(16, 24, 24),
    rope_layout="contiguous",
    head_norms=False,
    vision=VisionAttributes(),
    gguf=GgufExport("QWEN2VL", "QWEN2VL", add_no_text_settings, _add_vision_settings, splits_qkv=True),
)
