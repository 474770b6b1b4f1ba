import json

from texlens.exporting.portable_config import portable_config, write_portable_config
from texlens.models.bundled import NANO_FOLDER, bundled_config
from texlens.models.meta_model import build_config


def test_rope_settings_are_written_in_both_forms():
    rope = {"mrope_section": [2, 1, 1], "rope_theta": 5e6, "rope_type": "default"}
    config = portable_config({"text_config": {"rope_parameters": rope}})
    assert config["text_config"] == {
        "rope_parameters": rope,
        "rope_theta": 5e6,
        "rope_scaling": {"mrope_section": [2, 1, 1], "rope_type": "default"},
    }


def test_a_hub_s_config_is_copied_byte_for_byte(tmp_path):
    source = tmp_path / "config.json"
    source.write_text(json.dumps(bundled_config("Qwen3-VL-4B-Instruct"), indent=3))
    write_portable_config(source, tmp_path / "copy.json")
    assert (tmp_path / "copy.json").read_bytes() == source.read_bytes()


def test_transformers_5_reads_the_same_model_from_it(tmp_path):
    write_portable_config(NANO_FOLDER / "config.json", tmp_path / "config.json")
    portable = json.loads((tmp_path / "config.json").read_text())
    assert portable["text_config"]["rope_theta"] == 10000.0
    original = json.loads((NANO_FOLDER / "config.json").read_text())
    built = [build_config(config).text_config for config in (original, portable)]
    assert built[0].rope_parameters == built[1].rope_parameters
