import pytest
import torch

from tests.fixtures.tiny_models import tiny_model
from texlens.adapters.moe_lora.balance import RouterLog, balance_loss
from texlens.adapters.moe_lora.model import balance_of
from texlens.config.adapter import LoraSettings, MoeLoraSettings

EVEN, SINGLE_ROW = [[1.0, 1.0]], [[2.0, 0.0]]
SETTINGS = MoeLoraSettings(kind="moe-lora", rank=2, targets=("text-attention", "vision"))


@pytest.mark.parametrize(("sums", "loss"), [(EVEN, 1.0), (SINGLE_ROW, 2.0), ([*EVEN, *SINGLE_ROW], 1.5)])
def test_even_use_costs_1_and_one_expert_alone_costs_as_many_as_there_are(sums, loss):
    sums = torch.tensor(sums)
    assert balance_loss(sums, sums, torch.full((len(sums),), 2.0)) == loss


def test_tokens_of_no_weight_take_no_part():
    log, layer = RouterLog(), torch.nn.Identity()
    gates = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    with log.recording(torch.tensor([1, 0])):
        log.add(layer, gates, gates)
    assert log.loss() == 2.0
    assert log.pop_utilization() == {"?": [1.0, 0.0]}


def test_of_the_chosen_experts_choices_are_balanced_and_gates_are_use():
    """The loss is 2 * (1 * 0.6 + 0 * 0.4), with both tokens assigned to the first."""
    log, layer = RouterLog(), torch.nn.Identity()
    probabilities, gates = torch.tensor([[0.6, 0.4], [0.6, 0.4]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    with log.recording(None):
        log.add(layer, probabilities, gates)
    assert log.loss().item() == pytest.approx(1.2)
    assert log.pop_utilization() == {"?": [1.0, 0.0]}


def test_padding_changes_neither_loss_nor_use(adapt):
    """The second row is padded; with each row alone, the same tokens are counted."""
    adapted = adapt("qwen3_vl", MoeLoraSettings(kind="moe-lora", rank=2, targets=("text-attention",))).stir()
    adapted.model.train()
    log = adapted.model.base_model.router_log
    adapted.model(**adapted.inputs)
    batch_utilization = log.pop_utilization()
    wider = dict(adapted.inputs)
    pad = torch.zeros(2, 7, dtype=torch.long)
    wider["input_ids"] = torch.cat([pad, adapted.inputs["input_ids"]], 1)
    wider["attention_mask"] = torch.cat([pad, adapted.inputs["attention_mask"]], 1)
    if "mm_token_type_ids" in wider:
        wider["mm_token_type_ids"] = torch.cat([pad, adapted.inputs["mm_token_type_ids"]], 1)
    before = log.loss()
    adapted.model(**wider)
    torch.testing.assert_close(log.loss(), before, rtol=1e-5, atol=1e-6)
    for layer, shares in log.pop_utilization().items():
        assert shares == pytest.approx(batch_utilization[layer], abs=1e-5)


def test_the_loss_moves_the_routers_alone(adapt):
    adapted = adapt("qwen3_vl", SETTINGS).stir()
    adapted.model.train()
    adapted.model(**adapted.inputs)
    balance_of(adapted.model)().backward()
    moved = {name for name, part in adapted.model.named_parameters() if part.grad is not None and part.grad.any()}
    assert moved
    routers = [name for name in moved if "moe_lora_router" in name]
    assert any("layers.0" in name for name in routers)
    assert not any("moe_lora_B" in name for name in moved if "layers.1.self_attn.o_proj" in name)


def test_recomputed_layers_give_the_same_gradients_and_are_counted_once(adapt):
    gradients = []
    for recomputed in (False, True):
        adapted = adapt("qwen3_vl", SETTINGS).stir()
        adapted.model.train()
        if recomputed:
            adapted.model.gradient_checkpointing_enable({"use_reentrant": False})
            adapted.model.enable_input_require_grads()
        logits = adapted.model(**adapted.inputs).logits
        (logits.square().mean() + balance_of(adapted.model)()).backward()
        layers = len(adapted.model.base_model.router_log._layers)
        gradients.append({name: part.grad for name, part in adapted.model.named_parameters() if part.requires_grad})
        assert layers == adapted.plan.modules
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-6)


def test_evaluation_leaves_nothing_in_the_log(adapt):
    adapted = adapt("qwen3_vl", SETTINGS)
    adapted.logits()
    assert balance_of(adapted.model)() is None
    assert adapted.model.base_model.router_log.pop_utilization() == {}


def test_tokens_are_counted_exactly_under_autocast(adapt):
    """Sums of thousands of tokens don't fit into bfloat16's 8 bits."""
    adapted = adapt("qwen3_vl", SETTINGS).stir()
    adapted.model.train()
    adapted.model(**adapted.inputs)
    exact = balance_of(adapted.model)()
    with torch.autocast("cpu", torch.bfloat16):
        adapted.model(**adapted.inputs)
    log = adapted.model.base_model.router_log
    assert all(part.dtype == torch.float32 for layer in log._layers for part in layer[1:])
    torch.testing.assert_close(balance_of(adapted.model)(), exact, rtol=1e-3, atol=1e-6)


def test_a_model_without_routers_has_no_balance(adapt):
    assert balance_of(adapt("qwen3_vl", LoraSettings()).model) is None
    assert balance_of(tiny_model()[0]) is None


def test_new_log_has_no_loss():
    assert RouterLog().loss() is None
