"""Adapters in one batch compared with each alone, and with PEFT's own forward pass."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from tests.unit.inference.engine.conftest import engine_of, prompts_of, states_of, stock
from tests.unit.models.mixtures.quantized_stacks import quantize_model
from texlens.adapters.expert_parameters import route_experts
from texlens.adapters.moe_lora import MoeLoraConfig

TEXT = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
ATTENTION = r".*language_model.*\.(q_proj|v_proj|o_proj)"
VISION = r".*(language_model.*\.(q_proj|o_proj)|visual.blocks.*\.(qkv|attn\.proj|linear_fc1))"


def lora(rank=4, targets=TEXT, **options):
    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets, **options)


def moe_lora(**options):
    return MoeLoraConfig(r=2, lora_alpha=4, experts=3, target_modules=TEXT, **options)


KINDS = {
    "lora": lora(),
    "rslora": lora(8, use_rslora=True),
    "dora": lora(use_dora=True),
    "attention": lora(targets=ATTENTION),
    "vision": lora(targets=VISION),
    "moe-lora": moe_lora(),
    "moe-lora, top 2, shared": moe_lora(top_k=2, shared_expert=True),
}


def adapted(family, *configs, seed=0, quantized=None):
    """The tiny model with an adapter of each configuration, called default, second, …, all weights random."""
    model, processor = tiny_model(family, seed=seed)
    if quantized is not None:
        quantize_model(model, quantized)
    model = get_peft_model(model, configs[0])
    for name, config in zip(("second", "third"), configs[1:], strict=False):
        model.add_adapter(name, config)
    generator = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if "lora" in name:
            parameter.data.normal_(std=0.15 if "magnitude" not in name else 0.0, generator=generator)
            parameter.data += 1.0 if "magnitude" in name else 0.0
    return model.eval(), processor


def expected(model, processor, samples, adapter, **limits):
    if adapter is None:
        model.base_model.disable_adapter_layers()
    else:
        model.base_model.enable_adapter_layers()
        model.set_adapter(adapter)
    answers = [stock(model, processor, sample, **limits) for sample in samples]
    model.base_model.enable_adapter_layers()
    model.set_adapter("default")
    return answers


def read(model, processor, samples, adapters, rows, **options):
    """States of `rows`, pairs of sample and adapter."""
    prompts = dict(zip([sample.id for sample in samples], prompts_of(processor, samples), strict=True))
    states = states_of(len(rows))
    engine = engine_of(model, processor, adapters=adapters, **options)
    engine.add([prompts[sample.id] for sample, _ in rows], states, [adapter for _, adapter in rows])
    engine.finish()
    return states


def assert_rows_equal(states, rows, answers):
    for state, (sample, adapter) in zip(states, rows, strict=True):
        tokens, log_probabilities = answers[adapter][int(sample.id)]
        assert state.tokens == tokens, (sample.id, adapter)
        assert state.log_probabilities == pytest.approx(log_probabilities, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_base_and_adapter_in_one_batch_equal_each_alone(kind, samples):
    model, processor = adapted("qwen3_vl", KINDS[kind])
    answers = {name: expected(model, processor, samples, name) for name in (None, "default")}
    rows = [(sample, name) for sample in samples for name in (None, "default")]

    states = read(model, processor, samples, (None, "default"), rows)

    assert_rows_equal(states, rows, answers)
    assert [tokens for tokens, _ in answers[None]] != [tokens for tokens, _ in answers["default"]]


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_two_adapters_and_the_base_in_one_batch_equal_each_alone(family, samples):
    model, processor = adapted(family, lora(4, ATTENTION), lora(8, ATTENTION), seed=2)
    names = ("second", None, "default")
    answers = {name: expected(model, processor, samples, name) for name in names}
    rows = [(sample, names[number % 3]) for number, sample in enumerate([*samples, *samples])]

    states = read(model, processor, samples, names, rows)

    assert_rows_equal(states, rows, answers)


@pytest.mark.parametrize(("shared", "quantized"), [(False, None), (True, None), (False, "nf4")])
def test_adapted_experts_equal_the_module(shared, quantized, samples):
    config = LoraConfig(
        r=2,
        lora_alpha=4,
        target_modules=r".*\.q_proj",
        target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
    )
    model, processor = adapted("qwen3_vl_moe", config, quantized=quantized)
    route_experts(model, shared=shared)
    for name, parameter in model.named_parameters():
        if "experts" in name and "lora" in name:
            torch.nn.init.normal_(parameter, std=0.15)
    answers = {name: expected(model, processor, samples, name) for name in (None, "default")}
    rows = [(sample, name) for sample in samples for name in ("default", None)]

    states = read(model, processor, samples, (None, "default"), rows)

    assert_rows_equal(states, rows, answers)


def test_an_adapter_that_was_trained_further_is_read_again(samples):
    model, processor = adapted("qwen3_vl", lora())
    engine = engine_of(model, processor, adapters=("default",))
    prompts = prompts_of(processor, samples)
    first, second = states_of(len(samples)), states_of(len(samples))
    engine.add(prompts, first)
    engine.finish()

    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.mul_(-1.5)
    engine.refresh()
    engine.add(prompts, second)
    engine.finish()

    assert [state.tokens for state in first] != [state.tokens for state in second]
    assert_rows_equal(
        second, [(sample, "default") for sample in samples], {"default": expected(model, processor, samples, "default")}
    )


def test_the_tower_runs_once_for_base_and_adapter(samples, monkeypatch):
    model, processor = adapted("qwen3_vl", lora())
    passes = []
    tower = model.get_base_model().model.visual.merger
    tower.register_forward_hook(lambda *_: passes.append(1))
    rows = [(sample, name) for sample in samples for name in (None, "default")]

    read(model, processor, samples, (None, "default"), rows, slots=12)

    assert len(passes) == 1
