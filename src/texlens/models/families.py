"""The four Qwen vision-language families: every fact that differs between them, as one table.

Module names are those of transformers 5.x (checked against the real classes in `tests/unit/models/test_families.py`).
A checkpoint's own config.json and preprocessor_config.json go before the defaults given here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from texlens.core.errors import ModelError

IMAGE_TOKEN = "<|image_pad|>"
VIDEO_TOKEN = "<|video_pad|>"
VISION_START_TOKEN = "<|vision_start|>"
VISION_END_TOKEN = "<|vision_end|>"
TURN_START_TOKEN = "<|im_start|>"
TURN_END_TOKEN = "<|im_end|>"
PAD_TOKEN = "<|endoftext|>"
SPECIAL_TOKENS = (
    PAD_TOKEN,
    TURN_START_TOKEN,
    TURN_END_TOKEN,
    VISION_START_TOKEN,
    VISION_END_TOKEN,
    IMAGE_TOKEN,
    VIDEO_TOKEN,
)

LANGUAGE_MODEL = "model.language_model"
VISION_TOWER = "model.visual"
HEAD = "lm_head"
EMBEDDING = "model.language_model.embed_tokens"
PATCH_EMBEDDING = "model.visual.patch_embed.proj"

ALL_LINEAR = ("text-attention", "text-mlp", "vision", "merger")
"""The groups that `all-linear` stands for."""

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)

_LAYER = r"model\.language_model\.layers\.\d+\."
_BLOCK = r"model\.visual\.blocks\.\d+\."
_TEXT_GROUPS = {
    "text-attention": _LAYER + r"self_attn\.(q_proj|k_proj|v_proj|o_proj)",
    "text-mlp": _LAYER + r"mlp\.(gate_proj|up_proj|down_proj)",
}
_MERGER_2 = r"model\.visual\.merger\.mlp\.(0|2)"
_MERGER_3 = r"model\.visual\.(merger|deepstack_merger_list\.\d+)\.(linear_fc1|linear_fc2)"


@dataclass(frozen=True)
class Family:
    """One family. `groups` maps a group's name to the pattern that the full names of its linear layers match.

    Experts of a mixture are no linear layers: `expert_parameters` matches the stacked parameters
    (`[experts, out, in]`), `router` the module that chooses among them; both are None for dense families.
    `max_aspect` is the largest long side / short side that the stock image processor takes.
    """

    model_type: str
    title: str
    class_name: str
    processor_class: str
    video_processor_class: str
    groups: Mapping[str, str]
    patch_size: int
    min_pixels: int
    max_pixels: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    merge_size: int = 2
    temporal_patch_size: int = 2
    max_aspect: int = 200
    expert_parameters: str | None = None
    router: str | None = None
    special_tokens: tuple[str, ...] = field(default=SPECIAL_TOKENS)

    def group_of(self, module_name: str) -> str | None:
        """The group of a linear layer, or None (the head, say, or a module of another library)."""
        return next((group for group, pattern in self.groups.items() if re.fullmatch(pattern, module_name)), None)

    def is_expert(self, parameter_name: str) -> bool:
        return self.expert_parameters is not None and bool(re.fullmatch(self.expert_parameters, parameter_name))


def _groups(vision: str, merger: str) -> Mapping[str, str]:
    return MappingProxyType({**_TEXT_GROUPS, "vision": _BLOCK + vision, "merger": merger})


_QWEN2_IMAGES = {"patch_size": 14, "min_pixels": 3136, "max_pixels": 12_845_056, "mean": CLIP_MEAN, "std": CLIP_STD}
_QWEN3_IMAGES = {"patch_size": 16, "min_pixels": 65_536, "max_pixels": 16_777_216, "mean": HALF, "std": HALF}
_QWEN3_GROUPS = _groups(r"(attn\.(qkv|proj)|mlp\.(linear_fc1|linear_fc2))", _MERGER_3)

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "qwen2_vl": Family(
            model_type="qwen2_vl",
            title="Qwen2-VL",
            class_name="Qwen2VLForConditionalGeneration",
            processor_class="Qwen2VLProcessor",
            video_processor_class="Qwen2VLVideoProcessor",
            groups=_groups(r"(attn\.(qkv|proj)|mlp\.(fc1|fc2))", _MERGER_2),
            **_QWEN2_IMAGES,
        ),
        "qwen2_5_vl": Family(
            model_type="qwen2_5_vl",
            title="Qwen2.5-VL",
            class_name="Qwen2_5_VLForConditionalGeneration",
            processor_class="Qwen2_5_VLProcessor",
            video_processor_class="Qwen2VLVideoProcessor",
            groups=_groups(r"(attn\.(qkv|proj)|mlp\.(gate_proj|up_proj|down_proj))", _MERGER_2),
            **_QWEN2_IMAGES,
        ),
        "qwen3_vl": Family(
            model_type="qwen3_vl",
            title="Qwen3-VL",
            class_name="Qwen3VLForConditionalGeneration",
            processor_class="Qwen3VLProcessor",
            video_processor_class="Qwen3VLVideoProcessor",
            groups=_QWEN3_GROUPS,
            **_QWEN3_IMAGES,
        ),
        "qwen3_vl_moe": Family(
            model_type="qwen3_vl_moe",
            title="Qwen3-VL-MoE",
            class_name="Qwen3VLMoeForConditionalGeneration",
            processor_class="Qwen3VLProcessor",
            video_processor_class="Qwen3VLVideoProcessor",
            groups=_QWEN3_GROUPS,
            expert_parameters=_LAYER + r"mlp\.experts\.(gate_up_proj|down_proj)",
            router=_LAYER + r"mlp\.gate",
            **_QWEN3_IMAGES,
        ),
    }
)


def family_of(config: Mapping, where: str = "config.json") -> Family:
    """The family that a checkpoint's config (as a dict) names in its `model_type`.

    Raises:
        ModelError: not one of the four; `where` is named.
    """
    model_type = config.get("model_type")
    if model_type not in FAMILIES:
        known = ", ".join(FAMILIES)
        said = f"model_type {model_type!r} is not a family that TexLens knows" if model_type else "no model_type in it"
        raise ModelError(f"{where}: {said}; use a checkpoint of one of these: {known}")
    return FAMILIES[model_type]
