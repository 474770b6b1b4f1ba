"""Delta nets of Qwen3.5's widths on a GPU in bf16: outputs and all gradients, of the rule and of a training step."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.fixtures.tiny_models import tiny_config
from tests.gpu.test_pack_graphs import EXPERTS
from tests.unit.kernels.delta_rule.test_reference import bounds
from tests.unit.models.packed.test_mixers import ENDS, LENGTHS, positions
from texlens.adapters.expert_parameters import route_experts
from texlens.kernels.attention.segments import make_segments
from texlens.kernels.delta_rule import api, reference
from texlens.models.families import FAMILIES
from texlens.models.load import random_model
from texlens.models.packed.text import PackedText

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
BORDERS = [0, 1, 65, 65, 129, 300]
KEYS, VALUES, WIDTH = 2, 4, 128
NAMES = "output", "states", "query", "key", "value", "decay", "beta", "initial states"


def inputs() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)

    def draw(*sizes):
        return torch.randn(*sizes, generator=generator)

    tokens = BORDERS[-1]
    keys = draw(tokens, KEYS, WIDTH) + 2 * draw(1, KEYS, WIDTH)
    parts = [draw(tokens, KEYS, WIDTH), keys, draw(tokens, VALUES, WIDTH), -draw(tokens, VALUES).exp() * 0.1]
    parts += [draw(tokens, VALUES).sigmoid(), draw(len(BORDERS) - 1, VALUES, WIDTH, WIDTH)]
    return [part.bfloat16() for part in parts]


def results(rule, parts, device, dtype) -> list[torch.Tensor]:
    *parts, initial = (part.to(device, dtype).requires_grad_() for part in parts)
    output, states = rule.delta_rule(*parts, bounds(*BORDERS).to(device), initial_states=initial)
    weights = (torch.linspace(-1, 1, part.numel(), device=device).view_as(part) for part in (output, states))
    sums = [(part.double() * weight).sum() for part, weight in zip((output, states), weights, strict=True)]
    return [output.detach(), states.detach(), *torch.autograd.grad(sum(sums), [*parts, initial])]


def test_the_rule_and_all_its_gradients_equal_the_reference_in_float64():
    parts = inputs()
    rule = api.delta_rule_kernels(torch.device("cuda"))
    assert rule is api.BACKENDS["triton"]
    actual = results(rule, parts, "cuda", torch.bfloat16)
    expected = results(reference, parts, "cpu", torch.float64)
    errors = {
        name: float((ours.cpu().double() - theirs).norm() / theirs.norm())
        for name, ours, theirs in zip(NAMES, actual, expected, strict=True)
    }
    assert max(errors.values()) < 0.015, errors


def model_of_wide_heads(family: str):
    """Two layers, a delta net and gated attention, with heads as wide as Qwen3.5-4B's, and LoRA; of a mixture each
    token passes all experts, so that rounding chooses none, and they are adapted too."""
    settings = tiny_config(family)
    text = settings["text_config"]
    text |= {"hidden_size": 256, "head_dim": 256, "num_attention_heads": 4}
    if family == "qwen3_5":
        text |= {"intermediate_size": 512}
    else:
        text |= {"num_experts_per_tok": 4, "moe_intermediate_size": 64, "shared_expert_intermediate_size": 128}
    text |= {"num_key_value_heads": 1, "linear_num_key_heads": 2, "linear_num_value_heads": 4}
    text |= {"linear_key_head_dim": 128, "linear_value_head_dim": 128}
    text["rope_parameters"] = {**text["rope_parameters"], "mrope_section": [11, 11, 10]}
    settings["vision_config"]["out_hidden_size"] = 256
    torch.manual_seed(0)
    model = random_model(settings)
    pattern = "|".join(FAMILIES[family].groups[group] for group in ("text-attention", "text-mlp"))
    experts = {} if family == "qwen3_5" else {"target_parameters": EXPERTS}
    adapted = get_peft_model(model, LoraConfig(r=8, lora_alpha=8, target_modules=pattern, **experts))
    route_experts(adapted)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return adapted.eval()


def step(adapted, x, backend: str) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    text = PackedText(adapted.base_model.model.model.language_model, backend=backend)
    assert not text.unfused
    none = torch.zeros(0, dtype=torch.long, device=x.device)
    segments = make_segments(ENDS.to(x.device), max(LENGTHS))
    x = x.detach().requires_grad_()
    output = text(x, positions().to(x.device), segments, none, [])
    weight = torch.linspace(-1, 1, output.numel(), device=x.device).view_as(output)
    (output.float() * weight).sum().backward()
    return output.detach(), x.grad, [p.grad for p in adapted.parameters() if p.grad is not None]


@pytest.mark.parametrize("family", ["qwen3_5", "qwen3_5_moe"])
def test_a_training_step_by_kernels_equals_the_cpu_in_float32(family):
    adapted = model_of_wide_heads(family)
    x = torch.randn(int(ENDS[-1]), 256, generator=torch.Generator().manual_seed(1)) * 0.3
    x = x.bfloat16().float()
    for parameter in adapted.parameters():
        parameter.data = parameter.data.bfloat16().float()
    on_gpu = copy.deepcopy(adapted).to("cuda", torch.bfloat16)
    output, grad, grads = step(on_gpu, x.to("cuda", torch.bfloat16), "triton")
    expected, expected_grad, expected_grads = step(adapted, x, "cpu")
    flat, expected_flat = (
        torch.cat([part.flatten().float().cpu() for part in parts]) for parts in (grads, expected_grads)
    )
    for ours, theirs in ((output, expected), (grad, expected_grad), (flat, expected_flat)):
        assert (ours.float().cpu() - theirs).norm() < 0.02 * theirs.norm()
