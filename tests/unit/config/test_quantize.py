import pytest

from texlens.config.adapter import FullSettings, LoraSettings, MoeLoraSettings
from texlens.config.quantize import QuantizeSettings, check_together


@pytest.mark.parametrize(
    ("adapter", "method", "message"),
    [
        (FullSettings(kind="full"), "nf4", "nf4 weights can't be trained in full"),
        (LoraSettings(init="loftq"), "none", "set base.quantize: nf4"),
        (LoraSettings(init="pissa"), "nf4", "set base.quantize: none, or init: loftq"),
        (LoraSettings(init="pissa"), "int8", "set base.quantize: none, or init: default"),
        (LoraSettings(dora=True), "fp8", "has no form over a base in fp8"),
    ],
)
def test_adapters_that_can_not_be_trained_on_a_base_are_refused(adapter, method, message):
    with pytest.raises(ValueError, match=message):
        check_together(adapter, QuantizeSettings(quantize=method))


@pytest.mark.parametrize("method", ["none", "nf4", "int8", "fp8"])
def test_lora_and_moe_lora_fit_every_base(method):
    check_together(LoraSettings(), QuantizeSettings(quantize=method))
    check_together(MoeLoraSettings(kind="moe-lora"), QuantizeSettings(quantize=method))
