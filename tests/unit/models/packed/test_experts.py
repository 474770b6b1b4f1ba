"""Mixtures of experts in fused layers give the loss and gradients of the stock model with PEFT."""

import itertools
import os

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.fixtures.tiny_models import tiny_model
from tests.unit.models.mixtures.quantized_stacks import KINDS, quantize_model, values_of
from tests.unit.models.packed.packs import SOME_LAYERS, gradients, pack_of, stock_loss, worst
from tests.unit.models.packed.test_text import FORMS
from texlens.adapters.expert_parameters import route_experts
from texlens.models.families.expert_stacks import STACKS, base_experts
from texlens.models.packed.forward import packed_forward
from texlens.models.packed.memory import expert_buffer_bytes
from texlens.models.packed.text import RECOMPUTE

ATTENTION = r".*language_model\..*\.(q_proj|v_proj|o_proj)$"
DELTA_NETS = r".*language_model\..*\.(in_proj_qkv|in_proj_a|out_proj|q_proj)$"
EXPERTS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
ADAPTED = {
    "attention": {},
    "attention and experts": {"target_parameters": EXPERTS},
    "one stack of the experts": {"target_parameters": EXPERTS[1:]},
    "one pair for all experts": {"target_parameters": EXPERTS},
}

ALL = os.environ.get("MIXTURES") == "1"
"""`make test-all`: every kind of quantized experts with every kind of adapters."""
QUANTIZED = list(itertools.product(ADAPTED, KINDS)) if ALL else [("attention", KINDS[1]), (list(ADAPTED)[1], KINDS[0])]


def adapted_mixture(kind, quantized=None, family="qwen3_vl_moe", target_modules=ATTENTION):
    model, processor = tiny_model(family)
    if quantized is not None:
        quantize_model(model, quantized)
    torch.manual_seed(0)
    options = {"r": 3, "lora_alpha": 6, "target_modules": target_modules, **ADAPTED[kind]}
    trained = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **options))
    route_experts(trained, shared="one pair" in kind)
    for name, parameter in trained.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return trained, model, processor


@pytest.mark.parametrize(("recompute", "backend"), FORMS)
@pytest.mark.parametrize("kind", ADAPTED)
def test_loss_and_gradients_are_those_of_the_stock_model_with_peft(kind, recompute, backend):
    trained, model, processor = adapted_mixture(kind)
    reference = stock_loss(trained, processor)
    expected = gradients(reference, trained)
    forward = packed_forward(trained.base_model.model, processor.geometry, recompute=recompute, backend=backend)
    assert forward.text.unfused == {}
    with torch.compiler.set_stance("force_eager"):
        loss = forward.loss(pack_of(model, processor)) / 7
    torch.testing.assert_close(loss, reference, atol=1e-5, rtol=1e-6)
    assert worst(gradients(loss, trained), expected) < 1e-5


@pytest.mark.parametrize("kind", ["attention", "attention and experts"])
@pytest.mark.parametrize("adapted", [SOME_LAYERS, DELTA_NETS])
@pytest.mark.parametrize(("recompute", "backend"), FORMS if ALL else FORMS[1:2] + FORMS[-1:])
def test_an_expert_that_all_tokens_share_is_part_of_the_layer_adapted_or_not(recompute, backend, adapted, kind):
    trained, model, processor = adapted_mixture(kind, family="qwen3_5_moe", target_modules=adapted)
    names = [name for name, part in trained.named_parameters() if "shared_expert" in name and part.requires_grad]
    assert bool(names) is (adapted is SOME_LAYERS)
    reference = stock_loss(trained, processor)
    expected = gradients(reference, trained)
    forward = packed_forward(model, processor.geometry, recompute=recompute, backend=backend)
    assert forward.text.unfused == {}
    with torch.compiler.set_stance("force_eager"):
        loss = forward.loss(pack_of(model, processor)) / 7
    torch.testing.assert_close(loss, reference, atol=1e-5, rtol=1e-6)
    assert worst(gradients(loss, trained), expected) < 1e-5


@pytest.mark.parametrize(("kind", "quantized"), QUANTIZED)
def test_quantized_experts_give_the_loss_and_gradients_of_their_values_in_the_stock_model(kind, quantized):
    trained, model, processor = adapted_mixture(kind, quantized)
    stock, dequantized, _ = adapted_mixture(kind)
    for layer, other in zip(*(part.model.language_model.layers for part in (dequantized, model)), strict=True):
        for name in STACKS:
            getattr(base_experts(layer.mlp), name).data = values_of(base_experts(other.mlp).stacks[name])
    reference = stock_loss(stock, processor)
    expected = gradients(reference, stock)
    by_module = stock_loss(trained, processor)
    torch.testing.assert_close(by_module, reference, atol=1e-5, rtol=1e-6)
    assert worst(gradients(by_module, trained), expected) < 1e-5
    for recompute in RECOMPUTE if ALL else ("full",):
        forward = packed_forward(model, processor.geometry, recompute=recompute, backend="cpu")
        assert forward.text.unfused == {}
        for _ in range(2):  # the second finds the buffer as the first has left it
            loss = forward.loss(pack_of(model, processor)) / 7
            torch.testing.assert_close(loss, reference, atol=1e-5, rtol=1e-6)
            assert worst(gradients(loss, trained), expected) < 1e-5


def test_steps_of_the_optimizer_are_seen_beside_quantized_experts():
    trained, model, processor = adapted_mixture("attention and experts", "fp8")
    parameters = [parameter for parameter in trained.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=0.05, fused=True)
    forward = packed_forward(model, processor.geometry, backend="cpu")
    for _ in range(2):
        gradients(forward.loss(pack_of(model, processor)) / 7, trained)
        optimizer.step()
    loss = forward.loss(pack_of(model, processor)) / 7
    torch.testing.assert_close(loss, stock_loss(trained, processor), atol=1e-5, rtol=1e-6)


def test_all_layers_share_one_buffer_for_their_largest_stack():
    _, model, processor = adapted_mixture("attention", "fp8")
    forward = packed_forward(model, processor.geometry, backend="cpu")
    forward.loss(pack_of(model, processor))
    text = model.config.text_config
    assert forward.text.buffer.values.nbytes == expert_buffer_bytes(text, 4) == 4 * 4 * 2 * 16 * 32


def test_the_last_layer_of_label_rows_alone_gives_what_all_rows_give():
    trained, model, processor = adapted_mixture("attention and experts")
    forward = packed_forward(trained.base_model.model, processor.geometry, backend="cpu")
    pack = pack_of(model, processor)
    whole, chosen = forward.hidden(pack), forward.hidden(pack, pack["label_rows"])
    assert len(chosen) < len(whole)
    torch.testing.assert_close(chosen, whole[pack["label_rows"]], atol=1e-6, rtol=1e-6)


def test_stacks_stay_the_models_own_and_each_step_of_the_optimizer_is_seen():
    trained, model, processor = adapted_mixture("attention and experts")
    before = {
        name: part.clone() for name, part in trained.named_parameters() if "experts" in name and "lora" not in name
    }
    parameters = [parameter for parameter in trained.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=0.05, fused=True)
    forward = packed_forward(trained.base_model.model, processor.geometry, backend="cpu")
    assert all(torch.equal(dict(trained.named_parameters())[name], part) for name, part in before.items())
    for _ in range(2):
        gradients(forward.loss(pack_of(model, processor)) / 7, trained)
        optimizer.step()
    loss = forward.loss(pack_of(model, processor)) / 7
    torch.testing.assert_close(loss, stock_loss(trained, processor), atol=1e-5, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda mlp: mlp.gate.weight.requires_grad_(), "a mixture of experts whose router is trained"),
        (lambda mlp: mlp.experts.down_proj.requires_grad_(), "a mixture of experts whose weights are trained"),
        (lambda mlp: setattr(mlp.experts, "act_fn", torch.nn.GELU()), "a mixture of experts with another activation"),
    ],
)
def test_what_stays_module_by_module_says_why(change, reason):
    model, processor = tiny_model("qwen3_vl_moe")
    model.requires_grad_(False)
    change(model.model.language_model.layers[0].mlp)
    forward = packed_forward(model, processor.geometry, backend="cpu")
    assert forward.text.unfused == {0: reason}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda mlp: mlp.shared_expert_gate.weight.requires_grad_(), "a shared expert whose gate is trained"),
        (lambda mlp: setattr(mlp.shared_expert, "act_fn", torch.nn.GELU()), "a shared expert with another activation"),
        (lambda mlp: setattr(mlp, "shared_experts", torch.nn.Identity()), "shared experts of another kind"),
    ],
)
def test_a_shared_expert_that_stays_module_by_module_says_why(change, reason):
    model, processor = tiny_model("qwen3_5_moe")
    model.requires_grad_(False)
    change(model.model.language_model.layers[0].mlp)
    forward = packed_forward(model, processor.geometry, backend="cpu")
    assert list(forward.text.unfused) == [0]
    assert reason in forward.text.unfused[0]
