import dataclasses
import json
import math
import re
from types import SimpleNamespace
from typing import Any, Literal, get_args

import pytest

from tests.fixtures.vllm_source import definitions, vllm_source
from texlens.inference.vllm.flags import (
    RANKS,
    WITHOUT_THINKING,
    decoding_flags,
    highest_rank,
    image_flags,
    lora_flags,
    unsupported_reason,
)

LORA = {"peft_type": "LORA", "r": 16, "lora_alpha": 32}


def test_image_flags_name_the_budget_for_processor_and_vllm():
    assert image_flags(1024, 4096) == [
        "--limit-mm-per-prompt",
        '{"image": 1, "video": 0}',
        "--mm-processor-kwargs",
        '{"min_pixels": 1024, "max_pixels": 4096, "size": {"shortest_edge": 1024, "longest_edge": 4096}}',
    ]


def test_adapters_are_loaded_at_the_next_rank_that_vllm_supports():
    settings = [LORA, {**LORA, "rank_pattern": {"visual": 33}}]
    assert lora_flags({"one": "/a", "two": "/b"}, settings, tower=True) == [
        "--enable-lora",
        "--max-loras",
        "2",
        "--max-lora-rank",
        "64",
        "--enable-tower-connector-lora",
        "--lora-modules",
        "one=/a",
        "two=/b",
    ]
    assert highest_rank(settings[1]) == 33


@pytest.fixture
def source(pytestconfig):
    return vllm_source(pytestconfig) / "vllm"


@pytest.fixture
def peft_helper(source) -> Any:
    """vLLM's own reader of adapter_config.json."""
    names = ("MISSING", "dataclass", "field", "fields")
    scope: dict[str, Any] = {name: getattr(dataclasses, name) for name in names}
    scope |= {"re": re, "math": math, "json": json, "Literal": Literal, "LoRAConfig": object, "__name__": "helper"}
    scope["logger"] = SimpleNamespace(info_once=lambda text: None)
    return definitions(source / "lora/peft_helper.py", ["PEFTHelper"], scope)["PEFTHelper"]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"rank_pattern": {"visual": 8}, "alpha_pattern": {"visual": 64}},
        {"use_rslora": True},
        {"use_dora": True},
        {"modules_to_save": ["lm_head"]},
        {"lora_bias": True},
        {"bias": "all"},
        {"r": 513},
        *({"init_lora_weights": init} for init in (True, "gaussian", "pissa", "olora", "loftq", "corda", "eva")),
    ],
    ids=str,
)
def test_vllm_refuses_what_is_refused_here(more, peft_helper):
    settings = {**LORA, "target_modules": ["q_proj"], **more}
    is_legal = True
    try:
        peft_helper.from_dict(settings).validate_legal(SimpleNamespace(max_lora_rank=RANKS[-1]))
    except ValueError:
        is_legal = False
    assert (unsupported_reason(settings, {}) is None) == is_legal


def test_vllm_scales_each_layer_as_peft_does(peft_helper):
    settings = {**LORA, "target_modules": ["q_proj"], "rank_pattern": {"qkv": 8}, "alpha_pattern": {"qkv": 64}}
    helper = peft_helper.from_dict(settings)
    assert helper.get_rank_and_scaling("model.visual.blocks.0.attn.qkv") == (8, 8.0)
    assert helper.get_rank_and_scaling("model.language_model.layers.0.self_attn.q_proj") == (16, 2.0)


def test_vllm_has_the_flags_of_the_commands(source):
    flags = [*image_flags(1, 2), *decoding_flags(0.0), *lora_flags({"a": "/a"}, [LORA], tower=True)]
    flags += ["--default-chat-template-kwargs", json.dumps(WITHOUT_THINKING)]
    engine = (source / "engine/arg_utils.py").read_text(encoding="utf-8")
    server = "".join(path.read_text(encoding="utf-8") for path in source.glob("entrypoints/**/cli_args.py"))
    names = [flag for flag in flags if flag.startswith("--")]
    unknown = [
        name
        for name in names
        if f'"{name}"' not in engine and not re.search(rf"^    {name[2:].replace('-', '_')}: ", server, re.MULTILINE)
    ]
    assert len(names) == 10
    assert unknown == []


def test_ranks_are_vllm_s(source):
    line = re.search(r"^MaxLoRARanks = (Literal\[.*?\])", (source / "config/lora.py").read_text(), re.MULTILINE)
    assert line is not None
    known = get_args(eval(line[1], {"Literal": Literal}))
    assert set(RANKS) <= set(known)
    assert max(known) == RANKS[-1]
