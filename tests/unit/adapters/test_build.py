"""Every kind of adapter on every family: covers what it says, starts as the base, and comes back from disk the same."""

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from tests.unit.adapters.conftest import METADATA
from tests.unit.adapters.kinds import ATTENTION, EXPERTS, KINDS
from texlens.adapters.lora import WEIGHTS, load_adapter, save_adapter
from texlens.config.adapter import LoraSettings
from texlens.core.errors import ModelError


@pytest.mark.parametrize("family", FAMILY_NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_starts_as_the_base_and_comes_back_the_same_also_through_stock_peft(family, kind, adapt, saved):
    adapted = adapt(family, KINDS[kind])
    torch.testing.assert_close(adapted.logits(), adapted.before, rtol=0, atol=1e-5)
    changed = adapted.stir().logits()
    assert (changed - adapted.before).abs().max() > 0.1

    save_adapter(adapted.model, saved, METADATA)
    assert torch.equal(adapted.logits(load_adapter(tiny_model(family)[0], saved, fingerprint=None)), changed)
    assert torch.equal(adapted.logits(PeftModel.from_pretrained(tiny_model(family)[0], saved)), changed)


@pytest.mark.parametrize("kind", EXPERTS)
def test_experts_come_back_the_same_and_stock_peft_computes_the_same(kind, adapt, saved):
    adapted = adapt("qwen3_vl_moe", EXPERTS[kind])
    torch.testing.assert_close(adapted.logits(), adapted.before, rtol=0, atol=1e-5)
    changed = adapted.stir().logits()

    save_adapter(adapted.model, saved, METADATA)
    assert torch.equal(adapted.logits(load_adapter(tiny_model("qwen3_vl_moe")[0], saved, fingerprint=None)), changed)
    stock = PeftModel.from_pretrained(tiny_model("qwen3_vl_moe")[0], saved)
    torch.testing.assert_close(adapted.logits(stock), changed, rtol=0, atol=2e-5)


def test_experts_that_share_a_pair_come_back_the_same_from_a_small_file(adapt, saved):
    adapted = adapt("qwen3_vl_moe", LoraSettings(rank=2, targets=ATTENTION, experts="shared"))
    torch.testing.assert_close(adapted.logits(), adapted.before, rtol=0, atol=1e-5)
    changed = adapted.stir().logits()
    save_adapter(adapted.model, saved, METADATA)
    assert torch.equal(adapted.logits(load_adapter(tiny_model("qwen3_vl_moe")[0], saved, fingerprint=None)), changed)
    assert sum(tensor.numel() for tensor in load_file(saved / WEIGHTS).values()) == adapted.plan.trainable


def test_an_adapter_of_another_family_is_refused_with_the_reason(adapt, saved):
    save_adapter(adapt("qwen2_vl", KINDS["moe-lora"]).model, saved, METADATA)
    with pytest.raises(ModelError, match="does not fit this model"):
        load_adapter(tiny_model("qwen3_vl_moe")[0], saved, fingerprint=None)
    with pytest.raises(ModelError, match="belongs to another base"):
        load_adapter(tiny_model("qwen2_vl")[0], saved, fingerprint="0" * 64)
