"""Preference steps in packs against the formula on log-probabilities of the stock model, one row at a time."""

import pytest
import torch

from tests.fixtures.tiny_models import tiny_model
from tests.unit.models.packed.packs import adapted, worst
from tests.unit.training.objectives.objective_fixtures import (
    ANSWERS,
    backend,
    failing_backend,
    gradients_of,
    groups,
    perturb,
    step_of,
    stock_logs,
)
from texlens.training.objectives.losses.dpo import dpo_loss
from texlens.training.objectives.losses.kto import kto_loss
from texlens.training.objectives.losses.orpo import orpo_loss
from texlens.training.objectives.preference import PreferenceObjective, with_next_answers
from texlens.training.objectives.preference_losses import DpoPackLoss, KtoPackLoss, OrpoPackLoss
from texlens.training.objectives.start_policy import StartPolicy


def sums(model, processor, answers=ANSWERS):
    return torch.stack([torch.stack([logs.sum() for logs in group]) for group in stock_logs(model, processor, answers)])


def reference_losses(kind, model, processor, start):
    """Of the whole step, by the formulas on the stock model."""
    if kind == "orpo":
        return orpo_loss(sums(model, processor), torch.tensor([[3, 2], [4, 4]]), beta=0.5).loss
    with start.active():
        first = sums(model, processor)
        others_first = sums(model, processor, ANSWERS[::-1])
    if kind == "dpo":
        policy = sums(model, processor)
        return dpo_loss(policy, first, beta=0.5).loss - 0.2 * policy[:, 0] / torch.tensor([3.0, 4.0])
    with torch.no_grad():
        divergence = (sums(model, processor, ANSWERS[::-1]) - others_first).mean().clamp(min=0)
    policy = sums(model, processor).flatten()
    desirable = torch.tensor([True, False, True, False])
    return kto_loss(policy, first.flatten(), desirable, divergence, beta=0.5, undesirable_weight=1.5).loss


LOSSES = {
    "dpo": DpoPackLoss(0.5, sft_weight=0.2),
    "orpo": OrpoPackLoss(0.5),
    "kto": KtoPackLoss(0.5, undesirable_weight=1.5),
}


@pytest.mark.parametrize("tokens", [4096, 64])
@pytest.mark.parametrize("kind", LOSSES)
def test_a_step_has_the_loss_and_gradients_of_the_formula_on_the_stock_model(kind, tokens):
    model = adapted(tiny_model("qwen3_vl")[0], init_lora_weights=True)
    processor = tiny_model("qwen3_vl")[1]
    start = StartPolicy(model)
    perturb(model)
    objective = PreferenceObjective(backend(model, processor, tokens), LOSSES[kind], start if kind != "orpo" else None)
    expected = reference_losses(kind, model, processor, start).mean()
    expected.backward()
    expected_gradients = gradients_of(model)
    model.zero_grad()

    values = {"desirable": ((1.0, 0.0), (1.0, 0.0))} if kind == "kto" else {}
    batch = objective.collate(groups(processor, **values))
    loss = objective.train_step(model, batch, step_of(model, batch["label_count"]))
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    assert worst(gradients_of(model), expected_gradients) < 1e-4

    model.zero_grad()
    total, count = objective.eval_loss(model, batch)
    assert (total / count).item() == pytest.approx(expected.item(), abs=1e-5)
    assert objective.measurements()["objective_entropy"].value > 0


@pytest.mark.parametrize("scores_fit", [True, False])
@pytest.mark.parametrize("kind", LOSSES)
def test_a_step_that_does_not_fit_is_run_again_in_smaller_packs(kind, scores_fit):
    model, processor = tiny_model("qwen3_vl")
    model = adapted(model, init_lora_weights=True)
    start = StartPolicy(model) if kind != "orpo" else None
    perturb(model)
    lines, results = [], []
    values = {"desirable": ((1.0, 0.0), (1.0, 0.0))} if kind == "kto" else {}
    for packed in (backend(model, processor), failing_backend(model, processor, 64, lines, scores_fit=scores_fit)):
        objective = PreferenceObjective(packed, LOSSES[kind], start)
        batch = objective.collate(groups(processor, **values))
        assert len(batch["packs"]) == 1
        model.zero_grad()
        loss = objective.train_step(model, batch, step_of(model, batch["label_count"]))
        gradients = gradients_of(model)
        validated = torch.stack(objective.eval_loss(model, batch))
        results.append((loss, gradients, objective.measurements(), validated))
    (loss, grads, measured, validated), (again, grads_again, measured_again, validated_again) = results
    assert len(lines) == 1
    assert torch.allclose(validated_again, validated, atol=1e-5)
    assert again.item() == pytest.approx(loss.item(), abs=1e-5)
    assert worst(grads_again, grads) < 1e-4
    assert measured_again.keys() == measured.keys()
    for name, mean in measured.items():
        assert measured_again[name].value == pytest.approx(mean.value, abs=1e-5), name
        if name != "objective_divergence":  # is over packs
            assert measured_again[name].weight == mean.weight, name


def test_at_the_start_dpo_s_loss_is_ln_2_and_its_margin_0():
    model = adapted(tiny_model("qwen3_vl")[0], init_lora_weights=True)
    processor = tiny_model("qwen3_vl")[1]
    objective = PreferenceObjective(backend(model, processor), DpoPackLoss(0.1), StartPolicy(model))
    batch = objective.collate(groups(processor))
    loss = objective.train_step(model, batch, step_of(model, 2))
    assert loss.item() == pytest.approx(0.693147, abs=1e-5)
    assert objective.measurements()["objective_margin"].value == pytest.approx(0, abs=1e-6)


def test_other_answers_are_those_of_the_next_group():
    _, processor = tiny_model("qwen3_vl")
    assert [group.answers for group in with_next_answers(groups(processor))] == [ANSWERS[1], ANSWERS[0]]
