"""Pack size and recomputation within a memory limit."""

import pytest
import torch

from tests.fixtures.tiny_models import tiny_model
from texlens.config.load import build_config
from texlens.core.errors import ConfigError
from texlens.models.packed.hybrid_memory import more_for_answers
from texlens.models.packed.memory import static_bytes, vision_bytes_per_token
from texlens.planner.pack_budget import GIB, pack_options, plan_packs, with_answers

CPU = torch.device("cpu")


def config(quantize: str = "none", **compute):
    values = {"model": {"path": "nano"}, "data": {"path": "demo"}, "base": {"quantize": quantize}}
    return build_config({**values, "train": {"compute": compute}})


def model_with_frozen_tower():
    """Adapters are in the language model by default: the tower saves nothing for its backward pass."""
    model = tiny_model()[0]
    model.model.visual.requires_grad_(False)
    return model


def test_cpu_without_a_limit_recomputes_nothing():
    plan = plan_packs(config(), model_with_frozen_tower(), CPU)
    assert (plan.choice.tokens, plan.choice.recompute, plan.notes) == (2048, "none", ())
    assert plan.gib == 0.01


def test_a_trained_tower_takes_memory_in_each_pack():
    frozen, trained = (
        plan_packs(config(), model, CPU).choice for model in (model_with_frozen_tower(), tiny_model()[0])
    )
    assert trained.tokens == frozen.tokens
    assert trained.nbytes > 2 * frozen.nbytes


def test_only_blocks_that_a_gradient_reaches_take_memory():
    model, _ = tiny_model()
    visual = model.model.visual
    for parameter in visual.parameters():
        parameter.requires_grad_(False)
    assert vision_bytes_per_token(model) == 0
    for parameter in visual.merger.parameters():
        parameter.requires_grad_(True)
    merger = vision_bytes_per_token(model)
    assert merger == round(2.4 * 3 * 4 * 32)
    next(visual.blocks[-1].parameters()).requires_grad_(True)
    one_block = vision_bytes_per_token(model) - merger
    next(visual.blocks[0].parameters()).requires_grad_(True)
    assert vision_bytes_per_token(model) - merger == pytest.approx(len(visual.blocks) * one_block, abs=3)


def test_limit_makes_packs_smaller_and_recomputes_more():
    model = model_with_frozen_tower()
    static, limits = static_bytes(model), (10.6e6, 4.5e6, 3.13e6)
    plans = [plan_packs(config(memory_gib=(static + limit) / GIB), model, CPU).choice for limit in limits]
    assert [(plan.tokens, plan.recompute) for plan in plans] == [(2048, "none"), (1024, "mlp"), (1024, "full")]
    assert all(plan.nbytes <= limit for plan, limit in zip(plans, limits, strict=True))


def test_too_small_limit_is_refused_with_the_memory_needed():
    with pytest.raises(
        ConfigError, match=r"train\.compute\.memory_gib: 0\.001 is too little.*needs at least 0\.00\d+ GiB"
    ) as caught:
        plan_packs(config(memory_gib=0.001), model_with_frozen_tower(), CPU)
    assert "raise it, or set base.quantize: nf4" in str(caught.value)
    with pytest.raises(
        ConfigError, match=r"or leave train\.compute\.pack_tokens and train\.compute\.recompute to auto"
    ):
        plan_packs(config(memory_gib=0.001, pack_tokens=4096), model_with_frozen_tower(), CPU)
    with pytest.raises(ConfigError, match=r"or lower adapter\.rank"):
        plan_packs(config("nf4", memory_gib=0.001), model_with_frozen_tower(), CPU)


def test_settings_of_the_user_are_not_replaced():
    options = pack_options(config(pack_tokens=5000, recompute="mlp").train.compute, on_gpu=True)
    assert (options.tokens, options.recompute) == ((5000,), ("mlp",))
    assert pack_options(config(gradient_checkpointing=True).train.compute, on_gpu=True).recompute == ("full",)
    assert max(pack_options(config().train.compute, on_gpu=True).tokens) == 32_768


def test_answers_of_one_prompt_add_the_chunks_of_delta_nets():
    values = {"model": {"path": "nano"}, "data": {"path": "demo"}}
    of_answers = build_config({**values, "train": {"objective": {"kind": "orpo"}}})
    plain, hybrid = (tiny_model(family)[0].config.text_config for family in ("qwen3_vl", "qwen3_5"))
    dora = {"none": 5, "mlp": 4, "full": 3}
    assert with_answers(of_answers, plain, dora) == dora
    assert with_answers(build_config(values), hybrid, dora) == dora
    more = with_answers(of_answers, hybrid, dora)
    assert more == {mode: dora[mode] + more_for_answers(hybrid, mode) for mode in dora}
    assert more["none"] > dora["none"]
