"""Every kind of adapter on every family: covers what it says, starts as the base, and comes back from disk the same."""

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_config, tiny_model
from tests.unit.adapters.conftest import METADATA
from texlens.adapters.build import build_plan
from texlens.adapters.checks import check_modules_to_save, check_quantized_vision
from texlens.adapters.lora import WEIGHTS, load_adapter, save_adapter
from texlens.config.adapter import ExpertSettings, FullSettings, GroupSettings, LoraSettings, MoeLoraSettings
from texlens.config.quantize import QuantizeSettings
from texlens.core.errors import ConfigError, ModelError
from texlens.models.families import FAMILIES

DENSE = [name for name in FAMILY_NAMES if "moe" not in name]
ATTENTION = ("text-attention",)
KINDS = {
    "lora": LoraSettings(rank=4, targets=(*ATTENTION, "vision", "merger")),
    "groups": LoraSettings(
        rank=4,
        targets=ATTENTION,
        layers="1",
        vision=GroupSettings(rank=2, alpha=4, dropout=0.1, learning_rate=1e-5),
        merger="full",
        rslora=True,
        modules_to_save=("embed_tokens", "lm_head"),
    ),
    "dora": LoraSettings(rank=4, targets=(*ATTENTION, "vision"), dora=True),
    "orthogonal": LoraSettings(rank=4, targets=ATTENTION, init="orthogonal"),
    "moe-lora": MoeLoraSettings(kind="moe-lora", rank=2, targets=(*ATTENTION, "vision"), shared=True),
    "moe-lora top 1": MoeLoraSettings(kind="moe-lora", rank=2, experts=3, top_k=1, targets=ATTENTION),
}
FULL = {
    "full": FullSettings(kind="full", targets=(*ATTENTION, "merger")),
    "all": FullSettings(kind="full", targets=("all",)),
}
EXPERTS = {
    "experts": LoraSettings(rank=2, targets=ATTENTION, experts="lora"),
    "experts of their own rank": LoraSettings(
        rank=2, targets=ATTENTION, experts=ExpertSettings(rank=3, alpha=9), rslora=True, layers="1"
    ),
}


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


@pytest.mark.parametrize("family", FAMILY_NAMES)
@pytest.mark.parametrize("kind", FULL)
def test_weights_trained_in_full_leave_a_checkpoint_that_stock_transformers_loads(family, kind, adapt, saved):
    adapted = adapt(family, FULL[kind])
    frozen = {name: part.clone() for name, part in adapted.model.named_parameters() if not part.requires_grad}
    changed = adapted.stir().logits()
    assert (changed - adapted.before).abs().max() > 0.1
    assert all(torch.equal(dict(adapted.model.named_parameters())[name], part) for name, part in frozen.items())

    save_adapter(adapted.model, saved, METADATA)
    assert torch.equal(adapted.logits(load_adapter(tiny_model(family)[0], saved, fingerprint=None)), changed)
    stock = AutoModelForImageTextToText.from_pretrained(saved, dtype=torch.float32)
    assert torch.equal(adapted.logits(stock), changed)


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


@pytest.mark.parametrize("family", FAMILY_NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_coverage_table_names_every_group_and_adds_up(family, kind, adapt):
    adapted = adapt(family, KINDS[kind])
    rows = {row.group: row for row in adapted.plan.coverage}
    expected = {"text-attention", "vision", "merger", "embed", "head"}
    expected |= {"experts", "router"} if "moe" in family else {"text-mlp"}
    assert set(rows) == expected
    trainable = sum(part.numel() for part in adapted.model.parameters() if part.requires_grad)
    assert sum(row.parameters for row in rows.values()) == trainable
    assert all((row.matched == 0) == (row.parameters == 0) for row in rows.values() if row.group != "head")


def test_coverage_of_experts_counts_stacks_and_the_router_stays_frozen(adapt):
    adapted = adapt("qwen3_vl_moe", EXPERTS["experts"])
    rows = {row.group: (row.matched, row.total, row.parameters) for row in adapted.plan.coverage}
    one_layer = 4 * 2 * (32 + 2 * 16) + 4 * 2 * (16 + 32)
    assert rows["experts"] == (4, 4, 2 * one_layer)
    assert rows["router"] == (0, 2, 0)
    assert not any(part.requires_grad for name, part in adapted.model.named_parameters() if ".mlp.gate." in name)


def test_a_group_has_its_own_dropout(adapt):
    adapted = adapt("qwen3_vl", KINDS["groups"])
    shares = {
        "visual" if "visual" in name else "text": getattr(module["default"], "p", 0.0)
        for name, module in adapted.model.named_modules()
        if name.endswith("lora_dropout")
    }
    assert shares == {"visual": 0.1, "text": 0.0}


@pytest.mark.parametrize("family", DENSE)
def test_a_dense_model_has_no_experts_to_adapt(family, adapt):
    with pytest.raises(ConfigError, match=r"adapter\.experts: this model is no mixture"):
        adapt(family, LoraSettings(experts="lora"))


def test_an_adapter_of_another_family_is_refused_with_the_reason(adapt, saved):
    save_adapter(adapt("qwen2_vl", KINDS["moe-lora"]).model, saved, METADATA)
    with pytest.raises(ModelError, match="does not fit this model"):
        load_adapter(tiny_model("qwen3_vl_moe")[0], saved, fingerprint=None)
    with pytest.raises(ModelError, match="belongs to another base"):
        load_adapter(tiny_model("qwen2_vl")[0], saved, fingerprint="0" * 64)


def test_a_module_that_the_base_packs_can_not_be_trained_whole():
    config, family = tiny_config("qwen3_vl"), FAMILIES["qwen3_vl"]
    settings = LoraSettings(rank=2, targets=("q_proj",), modules_to_save=("model.language_model.layers.1.mlp",))
    plan = build_plan(settings, family, config)
    check_modules_to_save(plan, "none", config)
    with pytest.raises(ConfigError, match=r"layers\.1\.mlp has weights that base\.quantize: fp8 packs.*remove it"):
        check_modules_to_save(plan, "fp8", config)
    embedding = build_plan(LoraSettings(rank=2, modules_to_save=("embed_tokens", "lm_head")), family, config)
    check_modules_to_save(embedding, "fp8", config)


def test_a_tower_held_in_fp8_can_not_be_trained_and_its_merger_can():
    config, family = tiny_config("qwen3_vl"), FAMILIES["qwen3_vl"]
    base = QuantizeSettings(quantize="fp8", quantize_vision=True)
    adapted = build_plan(LoraSettings(rank=2, targets=("all-linear",)), family, config)
    with pytest.raises(ConfigError, match=r"12 layers of the vision tower can't be trained.*freeze the tower"):
        check_quantized_vision(adapted, base)
    check_quantized_vision(adapted, QuantizeSettings(quantize="fp8"))
    with pytest.raises(ConfigError, match=r"needs base\.quantize: fp8, and this is nf4"):
        check_quantized_vision(adapted, QuantizeSettings(quantize="nf4", quantize_vision=True))
    normalization = build_plan(LoraSettings(rank=2, modules_to_save=("model.visual.blocks.1.norm1",)), family, config)
    with pytest.raises(ConfigError, match=r"modules_to_save: model\.visual\.blocks\.1\.norm1 can't be trained"):
        check_quantized_vision(normalization, base)
    check_quantized_vision(build_plan(LoraSettings(rank=2, merger="full"), family, config), base)
