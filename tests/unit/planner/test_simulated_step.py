"""The simulated step compared with a real one on the CPU, counted by the same rules, and with arithmetic."""

import pytest

from tests.fixtures.memory_peak import MemoryPeak
from tests.fixtures.tiny_models import tiny_config
from texlens.kernels.loss.label_loss import label_loss
from texlens.models.bundled import bundled_config
from texlens.models.families import FAMILIES
from texlens.models.load import random_model
from texlens.models.meta_model import meta_model
from texlens.planner.simulated_ops import BYTES_PER_WEIGHT, quantize, quantize_vision
from texlens.planner.simulated_step import TRAINED, WEIGHTS, Batch, make_inputs, make_labels, simulate_step

BATCH = Batch(2, 24, 16, (((4, 4),), ((4, 4),)))


def real_peak(family_name: str, checkpointing: bool) -> int:
    model = random_model(tiny_config(family_name), attn_implementation="sdpa").train()
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    tally = MemoryPeak(block=512)
    for tensor in (*model.parameters(), *model.buffers()):
        tally.note(tensor)
    with tally:
        inputs, labels = make_inputs(model, FAMILIES[family_name], BATCH, pixels_on="cpu"), make_labels(BATCH)
        logits = model(**inputs, use_cache=False).logits
        loss = label_loss(logits, labels)
        del logits
        loss.backward()
    return tally.peak


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family_name", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_the_peak_on_meta_is_the_peak_of_the_real_step(family_name, checkpointing):
    base = meta_model(tiny_config(family_name))
    step = simulate_step(base, base, FAMILIES[family_name], BATCH, checkpointing=checkpointing, bf16=False)
    assert step.peak == pytest.approx(real_peak(family_name, checkpointing), rel=0.08)


def test_experts_are_counted_for_their_tokens():
    base = meta_model(tiny_config("qwen3_vl_moe")).bfloat16()
    step = simulate_step(base, base, FAMILIES["qwen3_vl_moe"], BATCH, checkpointing=False)
    tokens, chosen, width, inner, layers = 48, 2, 32, 16, 2
    forward = 2 * tokens * chosen * 3 * width * inner * layers
    assert step.flops > 3 * forward


def test_recomputation_stores_less_and_computes_more():
    base = meta_model(tiny_config("qwen3_vl"))
    stored = simulate_step(base, base, FAMILIES["qwen3_vl"], BATCH, checkpointing=False)
    again = simulate_step(base, base, FAMILIES["qwen3_vl"], BATCH, checkpointing=True)
    assert again.peak < stored.peak
    assert again.flops > stored.flops


def test_gradients_of_an_earlier_batch_count_from_the_start():
    base = meta_model(tiny_config("qwen3_vl"))
    single = simulate_step(base, base, FAMILIES["qwen3_vl"], BATCH, checkpointing=False)
    accumulated = simulate_step(base, base, FAMILIES["qwen3_vl"], BATCH, checkpointing=False, accumulation=2)
    assert accumulated.peak > single.peak


@pytest.mark.parametrize("kind", ["nf4", "fp8"])
def test_quantized_base_weighs_what_is_stored(kind):
    config = bundled_config("Qwen3-VL-4B-Instruct")
    assert config is not None
    base = meta_model(config).bfloat16()
    before = sum(parameter.nbytes for parameter in base.parameters())
    layers = sum(
        p.nbytes for n, p in base.named_parameters() if "language_model.layers" in n and n.endswith("j.weight")
    )
    quantize(base, kind, ("lm_head", "visual"))
    after = sum(parameter.nbytes for parameter in base.parameters())
    assert (before - after) / layers == pytest.approx(1 - BYTES_PER_WEIGHT[kind] / 2, abs=2e-3)


@pytest.mark.parametrize(
    ("model", "parts"), [("Qwen3-VL-4B-Instruct", ("attn", "mlp")), ("Qwen2.5-VL-3B-Instruct", ("attn",))]
)
def test_vision_tower_in_fp8_takes_a_byte_per_weight(model, parts):
    config = bundled_config(model)
    assert config is not None
    base = meta_model(config).bfloat16()
    before = sum(parameter.nbytes for parameter in base.parameters())
    names = [name for name, _ in base.named_parameters() if "visual.blocks" in name and name.endswith(".weight")]
    quantized = [base.get_parameter(name) for name in names if any(f".{part}." in name for part in parts)]
    quantize_vision(base)
    after = sum(parameter.nbytes for parameter in base.parameters())
    assert (before - after) / sum(weight.nbytes for weight in quantized) == pytest.approx(0.5, abs=2e-3)


def test_vision_tower_in_fp8_does_the_same_work():
    steps = []
    for in_fp8 in (False, True):
        base = meta_model(tiny_config("qwen3_vl")).bfloat16().requires_grad_(False)
        if in_fp8:
            quantize_vision(base)
        base.model.language_model.layers[0].input_layernorm.weight.requires_grad_(True)
        steps.append(simulate_step(base, base, FAMILIES["qwen3_vl"], BATCH, checkpointing=False))
    assert steps[1].flops == steps[0].flops
    assert steps[1].gradients == steps[0].gradients


def test_base_in_fp8_does_the_same_work_and_passes_gradients_on():
    steps = []
    for kind in (None, "fp8"):
        base = meta_model(tiny_config("qwen3_vl")).bfloat16().requires_grad_(False)
        if kind:
            quantize(base, kind, ("lm_head", "visual"))
        base.model.language_model.layers[0].input_layernorm.weight.requires_grad_(True)
        steps.append(simulate_step(base, base, FAMILIES["qwen3_vl"], BATCH, checkpointing=False))
    assert steps[1].flops == steps[0].flops
    assert steps[1].gradients == steps[0].gradients


def test_flops_of_a_formula_are_the_known_number():
    """4 x (linear parameters) x tokens with a frozen base: Qwen3-VL-4B, 4.85 TFLOP for 170 + 115 tokens."""
    config = bundled_config("Qwen3-VL-4B-Instruct")
    assert config is not None
    base = meta_model(config).bfloat16()
    for parameter in base.parameters():
        parameter.requires_grad_(False)
    base.model.language_model.layers[0].input_layernorm.weight.requires_grad_(True)
    step = simulate_step(base, base, FAMILIES["qwen3_vl"], Batch(1, 285, 80, (((8, 84),),)), checkpointing=False)
    assert step.flops / 1e12 == pytest.approx(4.85, rel=0.05)
    assert {WEIGHTS, TRAINED} <= step.parts.keys()
