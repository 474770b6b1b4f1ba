"""Registers MoE-LoRA in PEFT's tables of methods, under the string "MOE_LORA".

`peft.utils.register_peft_method` accepts only members of the enumeration `PeftType`, and an enumeration can't be
extended from outside. The tables that it fills are public names of `peft`, and they are keyed by `PeftType`, whose
members are strings; so the entries are added here directly and nothing of PEFT is changed. That a string is enough is a
property of PEFT that tests/unit/adapters/moe_lora/test_register.py checks.
"""

from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING

NAME = "MOE_LORA"
PREFIX = "moe_lora_"


def register(config_class: type, model_class: type) -> None:
    """Lets PEFT load and build the method; a second call changes nothing."""
    PEFT_TYPE_TO_CONFIG_MAPPING.setdefault(NAME, config_class)  # type: ignore[arg-type]
    PEFT_TYPE_TO_TUNER_MAPPING.setdefault(NAME, model_class)  # type: ignore[arg-type]
    PEFT_TYPE_TO_PREFIX_MAPPING.setdefault(NAME, PREFIX)  # type: ignore[arg-type]
