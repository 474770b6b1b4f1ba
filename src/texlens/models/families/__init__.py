"""The model families that TexLens trains: one file per family, with every fact and every difference.

Start with `registry.py`, which lists them and says how to add one.
"""

from texlens.inputs.special_tokens import (
    IMAGE_TOKEN,
    PAD_TOKEN,
    SPECIAL_TOKENS,
    TURN_END_TOKEN,
    TURN_START_TOKEN,
    VIDEO_TOKEN,
    VISION_END_TOKEN,
    VISION_START_TOKEN,
)
from texlens.models.families.family import Family, GgufExport, TextTensor, VisionAttributes
from texlens.models.families.module_names import (
    ALL_LINEAR,
    EMBEDDING,
    HEAD,
    LANGUAGE_MODEL,
    MERGER_MODULES,
    PATCH_EMBEDDING,
    VISION_TOWER,
)
from texlens.models.families.registry import FAMILIES, family_from_option, family_of, family_of_text, option_names

__all__ = [
    "ALL_LINEAR",
    "EMBEDDING",
    "FAMILIES",
    "HEAD",
    "IMAGE_TOKEN",
    "LANGUAGE_MODEL",
    "MERGER_MODULES",
    "PAD_TOKEN",
    "PATCH_EMBEDDING",
    "SPECIAL_TOKENS",
    "TURN_END_TOKEN",
    "TURN_START_TOKEN",
    "VIDEO_TOKEN",
    "VISION_END_TOKEN",
    "VISION_START_TOKEN",
    "VISION_TOWER",
    "Family",
    "GgufExport",
    "TextTensor",
    "VisionAttributes",
    "family_from_option",
    "family_of",
    "family_of_text",
    "option_names",
]
