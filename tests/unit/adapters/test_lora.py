"""Damaged and hostile adapter folders are refused in one line, before any weight is read."""

import json

import pytest
import torch
from safetensors.torch import save_file

from texlens.adapters.lora import SETTINGS, WEIGHTS, check_adapter
from texlens.core.errors import ModelError

GOOD = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": r".*q_proj", "rank_pattern": {r".*k_proj": 1}}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ([], "not a JSON object"),
        (1, "not a JSON object"),
        ({**GOOD, "r": "x"}, "r is x"),
        ({**GOOD, "r": None}, "r is None"),
        ({**GOOD, "lora_alpha": "x"}, "lora_alpha is x"),
        ({**GOOD, "target_modules": "(.*)*(.*)*(.*)*z$"}, "a repetition is inside of another one"),
        ({**GOOD, "exclude_modules": "(a+)+z"}, "a repetition is inside of another one"),
        ({**GOOD, "rank_pattern": {"(.*)*z": 1}}, "a repetition is inside of another one"),
        ({**GOOD, "rank_pattern": [1]}, "rank_pattern is no object"),
        ({**GOOD, "r": 10**9}, "a rank of 1000000000, where the largest tensor has 2 rows"),
        ({**GOOD, "rank_pattern": {"q_proj": 3}}, "a rank of 3"),
        ({**GOOD, "target_modules": [1]}, "target_modules is neither a pattern nor a list of names"),
    ],
)
def test_damaged_settings_are_one_line(settings, reason, tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / WEIGHTS)
    (tmp_path / SETTINGS).write_text(json.dumps(settings))
    with pytest.raises(ModelError) as caught:
        check_adapter(tmp_path)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_deeply_nested_settings_are_one_line(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / WEIGHTS)
    (tmp_path / SETTINGS).write_text("[" * 100_000)
    with pytest.raises(ModelError, match="damaged"):
        check_adapter(tmp_path)


def test_sound_settings_pass(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / WEIGHTS)
    (tmp_path / SETTINGS).write_text(json.dumps(GOOD))
    check_adapter(tmp_path)
