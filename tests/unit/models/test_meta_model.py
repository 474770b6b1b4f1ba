"""Meta models of the bundled configs compared with published parameter counts."""

import copy

import pytest

from tests.fixtures.tiny_models import tiny_config
from texlens.core.errors import ModelError
from texlens.models import meta_model as meta_model_module
from texlens.models.bundled import bundled_config
from texlens.models.meta_model import build_config, count_parameters, meta_model


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("Qwen2-VL-2B-Instruct", 2_208_985_600),
        ("Qwen2.5-VL-3B-Instruct", 3_754_622_976),
        ("Qwen2.5-VL-7B-Instruct", 8_292_166_656),
        ("Qwen3-VL-2B-Instruct", 2_127_532_032),
        ("Qwen3-VL-4B-Instruct", 4_437_815_808),
        ("Qwen3-VL-8B-Instruct", 8_767_123_696),
        ("Qwen3-VL-30B-A3B-Instruct", 31_070_754_032),
    ],
)
def test_a_bundled_config_has_the_published_number_of_parameters(name, parameters):
    model = meta_model(bundled_config(name))

    assert count_parameters(model) == parameters
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


def test_rank_8_on_q_k_v_o_of_the_4b_adds_5_898_240_parameters():
    model = meta_model(bundled_config("Qwen3-VL-4B-Instruct"))
    attention = [
        module for name, module in model.named_modules() if name.endswith(("q_proj", "k_proj", "v_proj", "o_proj"))
    ]

    assert sum(8 * (module.in_features + module.out_features) for module in attention) == 5_898_240


def test_a_tied_head_counts_once():
    untied = copy.deepcopy(bundled_config("Qwen3-VL-4B-Instruct"))
    untied["tie_word_embeddings"] = untied["text_config"]["tie_word_embeddings"] = False

    assert count_parameters(meta_model(untied)) == 4_437_815_808 + 151_936 * 2560


def test_a_config_with_a_wrong_type_is_named():
    with pytest.raises(ModelError, match=r"broken/config.json: not a valid Qwen3-VL config"):
        meta_model({"model_type": "qwen3_vl", "text_config": {"hidden_size": "wide"}}, "broken/config.json")


def test_a_transformers_without_the_family_is_refused_with_the_version_to_install(monkeypatch):
    mapping = {name: value for name, value in meta_model_module.CONFIG_MAPPING.items() if name != "qwen3_5"}
    monkeypatch.setattr(meta_model_module, "CONFIG_MAPPING", mapping)
    with pytest.raises(ModelError, match=r"has no Qwen3\.5; pip install 'transformers>=5\.2'"):
        build_config(tiny_config("qwen3_5"))
