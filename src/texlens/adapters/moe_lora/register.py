"""Entering MoE-LoRA into PEFT's tables through PEFT's own `register_peft_method`.

That function asks for a member of the enumeration `PeftType`, which Python gives no way to extend from outside; the
member is therefore made here, once, in the way that Python's `enum` makes its own. Nothing that exists is changed.
"""

from typing import Any

from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.utils import PeftType, register_peft_method

NAME = "MOE_LORA"
PREFIX = "moe_lora_"


def peft_type() -> PeftType:
    """The member `PeftType.MOE_LORA`."""
    known = PeftType.__members__.get(NAME)
    if known is not None:
        return known
    member: Any = str.__new__(PeftType, NAME)
    member._name_ = NAME
    member._value_ = NAME
    member.__objclass__ = PeftType
    member._sort_order_ = len(PeftType)
    setattr(PeftType, NAME, member)
    PeftType._member_names_.append(NAME)
    PeftType._member_map_[NAME] = member
    PeftType._value2member_map_[NAME] = member
    return member


def register(config_class: type, model_class: type) -> None:
    """Makes PEFT know the method; a second call does nothing."""
    if peft_type() not in PEFT_TYPE_TO_CONFIG_MAPPING:
        register_peft_method(name=NAME.lower(), config_cls=config_class, model_cls=model_class, prefix=PREFIX)
