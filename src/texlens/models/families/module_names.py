"""Names of modules in transformers 5 that all families share, and the patterns of their layers."""

from collections.abc import Mapping
from types import MappingProxyType

LANGUAGE_MODEL = "model.language_model"
VISION_TOWER = "model.visual"
HEAD = "lm_head"
EMBEDDING = "model.language_model.embed_tokens"
PATCH_EMBEDDING = "model.visual.patch_embed.proj"
MERGER_MODULES = r"model\.visual\.(merger|deepstack_merger_list\.\d+)"
"""Pattern of the modules that map image features to the language model's width."""

ALL_LINEAR = ("text-attention", "text-mlp", "vision", "merger")
"""The groups that `all-linear` expands to."""

DECODER_LAYER = r"model\.language_model\.layers\.\d+\."
VISION_BLOCK = r"model\.visual\.blocks\.\d+\."

ATTENTION_LAYERS = DECODER_LAYER + r"self_attn\.(q_proj|k_proj|v_proj|o_proj)"
MLP_LAYERS = DECODER_LAYER + r"mlp\.(gate_proj|up_proj|down_proj)"


def linear_groups(vision: str, merger: str) -> Mapping[str, str]:
    """Pattern of the linear layers in each group; `vision` follows the name of a block, `merger` is a whole name."""
    return MappingProxyType(
        {
            "text-attention": ATTENTION_LAYERS,
            "text-mlp": MLP_LAYERS,
            "vision": VISION_BLOCK + vision,
            "merger": merger,
        }
    )
