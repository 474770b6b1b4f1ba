import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_config, tiny_model, write_tiny_checkpoint
from texlens.core.errors import ConfigError, ModelError
from texlens.models.families import FAMILIES
from texlens.models.load import describe, load_model
from texlens.models.meta_model import count_parameters, meta_model

CPU = torch.device("cpu")


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_the_class_comes_from_the_config_and_the_weights_from_the_folder(tmp_path, family):
    written, _ = tiny_model(family)
    model = load_model(write_tiny_checkpoint(tmp_path, family), device="cpu")

    assert type(model).__name__ == FAMILIES[family].class_name
    assert not model.training
    assert all(torch.equal(a, b) for a, b in zip(written.parameters(), model.parameters(), strict=True))
    assert count_parameters(model) == count_parameters(meta_model(tiny_config(family))) < 200_000


def test_the_stock_loader_gives_the_same_model(checkpoint):
    ours = load_model(checkpoint, device="cpu")
    stock = AutoModelForImageTextToText.from_pretrained(checkpoint)

    assert type(stock) is type(ours)
    assert all(torch.equal(a, b) for a, b in zip(stock.parameters(), ours.parameters(), strict=True))


def test_a_model_is_described(checkpoint):
    assert describe(load_model(checkpoint, device="cpu", attention="eager", dtype="bfloat16")) == {
        "class": "Qwen3VLForConditionalGeneration",
        "parameters": 160_464,
        "dtype": "bfloat16",
        "device": "cpu",
        "attention": "eager",
    }


def test_on_the_cpu_it_is_float32_with_sdpa(checkpoint):
    description = describe(load_model(checkpoint, device="cpu"))

    assert (description["dtype"], description["attention"]) == ("float32", "sdpa")


def test_random_weights_need_no_shards(checkpoint):
    (checkpoint / "model.safetensors").unlink()
    torch.manual_seed(0)
    first = load_model(checkpoint, device="cpu", random_weights=True)
    torch.manual_seed(0)
    again = load_model(checkpoint, device="cpu", random_weights=True)

    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


def test_remote_code_is_not_run_by_default(checkpoint):
    config = json.loads((checkpoint / "config.json").read_text())
    config["auto_map"] = {"AutoModelForImageTextToText": "evil.Evil"}
    (checkpoint / "config.json").write_text(json.dumps(config))
    (checkpoint / "evil.py").write_text("raise SystemExit('ran')")

    assert type(load_model(checkpoint, device="cpu")).__module__.startswith("transformers.")


def test_remote_code_is_run_on_request(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(tmp_path / "modules")
    config = json.loads((checkpoint / "config.json").read_text())
    config["auto_map"] = {"AutoModelForImageTextToText": "own_class.Own"}
    (checkpoint / "config.json").write_text(json.dumps(config))
    (checkpoint / "own_class.py").write_text(
        "from transformers import Qwen3VLForConditionalGeneration\nclass Own(Qwen3VLForConditionalGeneration): pass\n"
    )

    assert type(load_model(checkpoint, device="cpu", trust_remote_code=True)).__name__ == "Own"


def test_weights_that_lack_a_tensor_are_refused(checkpoint):
    tensors = load_file(checkpoint / "model.safetensors")
    tensors.pop("model.visual.merger.norm.weight")
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"the weights lack model.visual.merger.norm.weight \(1 tensors in all\)"):
        load_model(checkpoint, device="cpu")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "warp"}, "model.device 'warp' is not a torch device"),
        ({"dtype": "int3"}, "model.dtype 'int3' is not known; use auto or one of bfloat16, float16, float32"),
        ({"attention": "magic"}, "model.attention 'magic' is not known"),
        ({"attention": "flash_attention_2"}, "model.attention flash_attention_2 needs a GPU"),
    ],
)
def test_an_impossible_setting_is_named(checkpoint, settings, message):
    with pytest.raises(ConfigError, match=message):
        load_model(checkpoint, **{"device": "cpu", **settings})
