"""What the registration of MoE-LoRA relies on in PEFT: its tables accept a string, and nothing of PEFT is changed."""

import runpy

from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING, PeftConfig, PeftType
from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING
from peft.utils import peft_types

from texlens.adapters.moe_lora import MoeLoraConfig, MoeLoraModel
from texlens.adapters.moe_lora.register import NAME, PREFIX, register


def test_peft_s_tables_are_keyed_by_strings():
    assert issubclass(PeftType, str), "PEFT's types are no strings now: adapt texlens.adapters.moe_lora.register"
    assert PEFT_TYPE_TO_CONFIG_MAPPING["LORA"] is PEFT_TYPE_TO_CONFIG_MAPPING[PeftType.LORA]
    tables = (PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING)
    assert [table[NAME] for table in tables] == [MoeLoraConfig, MoeLoraModel, PREFIX]


def test_second_registration_changes_nothing():
    register(dict, dict)
    assert PEFT_TYPE_TO_CONFIG_MAPPING[NAME] is MoeLoraConfig


def test_saved_config_is_loaded_by_peft(tmp_path):
    MoeLoraConfig(r=2, experts=3, target_modules="q_proj").save_pretrained(tmp_path)
    loaded = PeftConfig.from_pretrained(tmp_path)
    assert isinstance(loaded, MoeLoraConfig)
    assert (loaded.peft_type, loaded.experts) == (NAME, 3)


def test_peft_s_enumeration_is_not_changed():
    as_released = runpy.run_path(peft_types.__file__)["PeftType"]
    assert list(PeftType.__members__) == list(as_released.__members__)
    assert NAME not in PeftType.__members__
