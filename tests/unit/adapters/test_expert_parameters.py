"""LoRA on stacked experts by routing: outputs, gradients, memory and file."""

import torch
from peft import PeftModel
from safetensors.torch import load_file

from tests.fixtures.tiny_models import tiny_model
from tests.unit.adapters.conftest import METADATA
from tests.unit.adapters.kinds import ATTENTION
from texlens.adapters.expert_parameters import RoutedExperts
from texlens.adapters.lora import WEIGHTS, save_adapter
from texlens.config.adapter import ExpertSettings, LoraSettings

EXPERTS = LoraSettings(rank=2, targets=ATTENTION, experts="lora")


def test_gradients_are_those_of_stock_peft_which_builds_the_whole_update(adapt, saved):
    adapted = adapt("qwen3_vl_moe", EXPERTS).stir()
    save_adapter(adapted.model, saved, METADATA)
    stock = PeftModel.from_pretrained(tiny_model("qwen3_vl_moe")[0], saved, is_trainable=True)
    gradients = []
    for model in (adapted.model, stock):
        model.train()
        model(**adapted.inputs).logits.square().mean().backward()
        gradients.append({name: part.grad for name, part in model.named_parameters() if part.requires_grad})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-3, atol=1e-6, msg=name)


def test_no_tensor_of_an_expert_parameters_size_is_saved_for_the_backward_pass(adapt):
    """The update of an expert parameter has its shape; autograd must save none such but the frozen parameter."""
    adapted = adapt("qwen3_vl_moe", EXPERTS).stir()
    adapted.model.train()
    pointers = {tuple(part.shape): part.data_ptr() for name, part in adapted.model.named_parameters() if "proj" in name}
    saved_shapes: list[torch.Tensor] = []
    frozen = {part.data_ptr() for part in adapted.model.parameters() if not part.requires_grad}

    def keep(tensor):
        saved_shapes.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        adapted.model(**adapted.inputs)
    large = [shape for shape in pointers if len(shape) == 3]
    assert large
    assert not [
        tensor.shape
        for tensor in saved_shapes
        if tuple(tensor.shape) in large and tensor.untyped_storage().data_ptr() not in frozen
    ]


def test_an_adapter_that_is_off_leaves_the_experts_as_they_are(adapt):
    adapted = adapt("qwen3_vl_moe", EXPERTS).stir()
    with adapted.model.disable_adapter():
        torch.testing.assert_close(adapted.logits(), adapted.before, rtol=0, atol=1e-5)


def test_the_adapters_file_is_as_large_as_its_plan_says(adapt, saved):
    for settings in (EXPERTS, LoraSettings(rank=2, targets=ATTENTION, experts=ExpertSettings(mode="shared", rank=4))):
        adapted = adapt("qwen3_vl_moe", settings)
        save_adapter(adapted.model, saved, METADATA)
        data = sum(part.numel() * part.element_size() for part in load_file(saved / WEIGHTS).values())
        assert data == adapted.plan.added_bytes
        assert 0 < (saved / WEIGHTS).stat().st_size - data < 10_000


def test_every_layers_experts_are_routed_by_us(adapt):
    adapted = adapt("qwen3_vl_moe", EXPERTS)
    routed = [name for name, module in adapted.model.named_modules() if isinstance(module, RoutedExperts)]
    assert [name.removeprefix("base_model.model.model.language_model.") for name in routed] == [
        "layers.0.mlp.experts",
        "layers.1.mlp.experts",
    ]
