import json

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from tests.fixtures.tiny_models import tiny_model
from tests.unit.adapters.conftest import METADATA
from tests.unit.adapters.kinds import ATTENTION
from texlens.adapters.initialization import initialize_eva
from texlens.adapters.lora import SETTINGS, WEIGHTS, restore, save_adapter
from texlens.config.adapter import GroupSettings, LoraSettings


@pytest.mark.parametrize("rslora", [False, True])
def test_pissa_starts_as_the_base_and_is_saved_as_a_plain_lora_of_twice_the_rank(rslora, adapt, saved):
    settings = LoraSettings(
        rank=4, alpha=8, targets=ATTENTION, init="pissa", rslora=rslora, vision=GroupSettings(rank=2, alpha=6)
    )
    adapted = adapt("qwen3_vl", settings)
    torch.testing.assert_close(adapted.logits(), adapted.before, rtol=0, atol=1e-3)
    changed = adapted.stir(0.02).logits()

    save_adapter(adapted.model, saved, METADATA)
    assert json.loads((saved / SETTINGS).read_text())["r"] == 8
    stock = PeftModel.from_pretrained(tiny_model("qwen3_vl")[0], saved)
    torch.testing.assert_close(adapted.logits(stock), changed, rtol=0, atol=2e-3)


def test_pissa_is_taken_up_again_as_it_was(adapt, saved):
    settings = LoraSettings(rank=4, targets=ATTENTION, init="pissa")
    adapted = adapt("qwen2_vl", settings).stir(0.02)
    save_adapter(adapted.model, saved, METADATA)
    again = adapt("qwen2_vl", settings)
    restore(again.model, saved)
    assert torch.equal(again.logits(), adapted.logits())


def test_eva_finds_the_directions_of_the_inputs_and_changes_nothing_at_first(adapt, saved):
    adapted = adapt("qwen3_vl", LoraSettings(rank=4, targets=(*ATTENTION, "vision"), init="eva"))
    initialize_eva(adapted.model, [adapted.inputs] * 3)
    assert torch.equal(adapted.logits(), adapted.before)
    layer = adapted.model.base_model.model.model.language_model.layers[0].self_attn.q_proj
    directions = layer.lora_A["default"].weight
    torch.testing.assert_close(directions @ directions.T, torch.eye(4), rtol=0, atol=1e-4)

    save_adapter(adapted.stir().model, saved, METADATA)
    assert load_file(saved / WEIGHTS)["base_model.model.model.visual.blocks.0.attn.qkv.lora_A.weight"].shape[0] == 4
    stock = PeftModel.from_pretrained(tiny_model("qwen3_vl")[0], saved)
    assert torch.equal(adapted.logits(stock), adapted.logits())


def test_loftq_makes_up_for_what_4_bits_lost(tmp_path):
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    from tests.fixtures.tiny_models import tiny_config, write_tiny_checkpoint
    from texlens.adapters.build import build_adapter, build_plan
    from texlens.adapters.initialization import initialize_loftq
    from texlens.config.quantize import QuantizeSettings
    from texlens.models.families import FAMILIES
    from texlens.models.load import load_model

    folder = write_tiny_checkpoint(tmp_path, "qwen2_vl")
    settings = LoraSettings(rank=16, targets=(*ATTENTION, "text-mlp"), init="loftq")
    model = load_model(folder, device="cpu", quantize=QuantizeSettings(quantize="nf4"))
    plan = build_plan(settings, FAMILIES["qwen2_vl"], tiny_config("qwen2_vl"))
    adapted = build_adapter(model, plan, settings, seed=0, base_path="base").train()  # eval mode wants wider layers
    whole = load_model(folder, device="cpu")
    tokens = torch.arange(20)[None]
    with torch.no_grad():
        reference = whole(input_ids=tokens).logits
        before = (adapted(input_ids=tokens).logits - reference).norm()
        initialize_loftq(adapted, folder)
        after = (adapted(input_ids=tokens).logits - reference).norm()
    assert after < 0.6 * before
