"""The families by `model_type`.

To add a family: write `models/families/NAME.py` with one `Family` (copy the nearest one), and add it to `_ALL` below.
Nothing else in `src` names a family. Then give `tests/fixtures/tiny_models.py` a tiny configuration, with which the
tests of every layer run; docs/extending/family.md walks through it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from texlens.core.errors import ConfigError, ModelError
from texlens.models.families.family import Family
from texlens.models.families.qwen2_5_vl import QWEN2_5_VL
from texlens.models.families.qwen2_vl import QWEN2_VL
from texlens.models.families.qwen3_5 import QWEN3_5, QWEN3_5_MOE
from texlens.models.families.qwen3_vl import QWEN3_VL
from texlens.models.families.qwen3_vl_moe import QWEN3_VL_MOE

_ALL = (
    QWEN2_VL,
    QWEN2_5_VL,
    QWEN3_VL,
    QWEN3_VL_MOE,
    QWEN3_5,
    QWEN3_5_MOE,
)

FAMILIES: Mapping[str, Family] = MappingProxyType({family.model_type: family for family in _ALL})


def family_of(config: Mapping, where: str = "config.json") -> Family:
    """The family that a checkpoint's config (as a dict) names in its `model_type`.

    Raises:
        ModelError: an unknown family; `where` is named.
    """
    model_type = config.get("model_type")
    if model_type not in FAMILIES:
        known = ", ".join(FAMILIES)
        problem = (
            f"model_type {model_type!r} is not a family that TexLens knows" if model_type else "no model_type in it"
        )
        raise ModelError(f"{where}: {problem}; use a checkpoint of one of these: {known}")
    return FAMILIES[model_type]


def family_of_text(text_config: Any) -> Family:
    """The family of a language model, by its own transformers config.

    Raises:
        ModelError: an unknown family.
    """
    family = next((family for family in FAMILIES.values() if family.text_model_type == text_config.model_type), None)
    if family is None:
        raise ModelError(f"model_type {text_config.model_type!r} is the language model of no family that TexLens knows")
    return family


def option_names() -> tuple[str, ...]:
    """The families as they are written on the command line."""
    return tuple(family.option for family in FAMILIES.values())


def family_from_option(name: str) -> Family:
    """The family for `--family NAME`; case, and `_` for `-` or `.`, are ignored.

    Raises:
        ConfigError: an unknown family.
    """
    model_type = name.lower().replace("-", "_").replace(".", "_")
    if model_type not in FAMILIES:
        raise ConfigError(f"--family {name}: not one of {', '.join(option_names())}")
    return FAMILIES[model_type]
