import pytest
import yaml

from texlens.config.adapter import layer_numbers
from texlens.config.load import build_config, dump_config
from texlens.core.errors import ConfigError

MINIMAL = {"model": {"path": "nano"}, "data": {"path": "demo"}}


def refusal(adapter: dict, **branches) -> str:
    with pytest.raises(ConfigError) as caught:
        build_config({**MINIMAL, "adapter": adapter, **branches})
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        ({"rank": 0}, "'adapter.rank': input should be greater than or equal to 1 (got 0)"),
        ({"kind": "qlora"}, "'lora', 'moe-lora', 'full'"),
        ({"vision": {"rank": 0}}, "'adapter.vision.rank'"),
        ({"vision": "frozn"}, "input should be 'frozen' (got 'frozn')"),
        ({"vision": {"rnk": 1}}, "unknown key 'adapter.vision.rnk'; did you mean 'adapter.vision.rank'?"),
        ({"merger": "ful"}, "'frozen', 'lora' or 'full'"),
        ({"targets": ["vision"], "vision": {"rank": 2}}, "vision is in targets and has settings of its own"),
        ({"vision": {"rank": 2}, "groups": {"vision": {"rank": 3}}}, "vision is in groups"),
        ({"dora": True, "experts": "lora"}, "dora has no form for stacked experts"),
        ({"init": "pissa", "dora": True}, "init pissa can't be combined with dora"),
        ({"init": "eva", "experts": "shared"}, "init eva can't be combined with adapters on experts"),
        ({"init": "loftq"}, "set base.quantize: nf4"),
        ({"layers": "3-"}, "'adapter.layers'"),
        ({"targets": []}, "nothing would be trained"),
        ({"kind": "moe-lora", "dora": True}, "dora belongs to kind lora"),
        ({"kind": "moe-lora", "vision": {"rank": 2}}, "name it in targets or groups"),
        ({"kind": "moe-lora", "experts": 2, "top_k": 3}, "top_k 3 is over experts 2"),
        ({"kind": "moe-lora", "rnak": 4}, "unknown key 'adapter.rnak'; did you mean 'adapter.rank'?"),
        ({"kind": "full", "rank": 4}, "unknown key 'adapter.rank'"),
        ({"kind": "full", "groups": {"vision": {"rank": 4}}}, "have no rank, alpha or dropout"),
    ],
)
def test_what_can_not_be_trained_is_reported_with_its_key_and_the_remedy(adapter, message):
    assert message in refusal(adapter)


@pytest.mark.parametrize(
    ("adapter", "quantize", "message"),
    [
        ({"kind": "full"}, "nf4", "nf4 weights can't be trained in full"),
        ({"init": "pissa"}, "nf4", "pissa needs the unquantized weights"),
        ({"init": "loftq"}, "int8", "loftq makes up for the error of a 4-bit base"),
        ({"dora": True}, "int8", "has no form over a base in int8"),
        ({"dora": True}, "fp8", "has no form over a base in fp8; set base.quantize: nf4 or none"),
        ({"kind": "full"}, "fp8", "fp8 weights can't be trained in full"),
        ({"init": "orthogonal"}, "fp8", "set base.quantize: none, or init: default"),
    ],
)
def test_an_adapter_and_a_base_that_do_not_go_together_are_reported(adapter, quantize, message):
    assert message in refusal(adapter, base={"quantize": quantize})


def test_lora_plus_needs_a_and_b():
    train = {"optimizer": {"lora_plus_ratio": 16}}
    assert "no A and B" in refusal({"kind": "full"}, train=train)
    assert build_config({**MINIMAL, "train": train}).train.optimizer.lora_plus_ratio == 16


@pytest.mark.parametrize(
    "adapter",
    [
        {"vision": "frozen", "merger": "full", "experts": {"mode": "shared", "rank": 4}, "layers": "0-3"},
        {"groups": {"text-mlp": {"learning_rate": 1e-5}}, "modules_to_save": ["embed_tokens"], "init": "eva"},
        {"kind": "moe-lora", "top_k": 1, "shared": True},
        {"kind": "full", "targets": ["all"]},
    ],
)
def test_a_dumped_adapter_loads_as_the_same(adapter):
    config = build_config({**MINIMAL, "adapter": adapter})
    assert build_config(yaml.safe_load(dump_config(config))) == config


def test_layers_are_numbers_and_runs_of_them():
    assert layer_numbers("0, 4,8-11") == {0, 4, 8, 9, 10, 11}
