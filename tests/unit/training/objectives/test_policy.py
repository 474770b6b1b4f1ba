"""GRPO's step: gradients by the formula, updates within a step, groups without spread, and seeds."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from tests.fixtures.tiny_models import tiny_model
from tests.unit.models.packed.packs import adapted, worst
from tests.unit.training.objectives.objective_fixtures import (
    backend,
    failing_backend,
    gradients_of,
    groups,
    perturb,
    step_of,
    stock_logs,
)
from texlens.data.sample import LazyImage, RejectedRow, Sample
from texlens.inference.decoding.generation_state import GenerationState
from texlens.metrics.prediction import Prediction
from texlens.rewards.score import RewardSpec, ScoredAnswer
from texlens.training.objectives.losses.policy import policy_loss
from texlens.training.objectives.policy import PolicyObjective, PolicyOptions, _group
from texlens.training.objectives.rollout_log import RolloutLog
from texlens.training.objectives.rollout_rows import RolloutPrompt
from texlens.training.objectives.rollouts import Rollout
from texlens.training.objectives.start_policy import StartPolicy

OPTIONS = {
    "temperature": 1.0,
    "advantage": "mean",
    "ratio": "token",
    "clip": (0.2, 0.28),
    "normalize": "tokens",
    "kl": 0.0,
    "updates": 1,
    "skip_flat": True,
    "limit": 8,
    "max_grad_norm": 1.0,
}


class Maker:
    """Rollouts with fixed answers and rewards."""

    def __init__(self, model, processor, rewards):
        self.groups, self.rewards, self.answers = groups(processor), rewards, 2
        self.processor = processor
        self.scorer = SimpleNamespace(spec=RewardSpec({"exact": 1.0}))
        self.logs = stock_logs(model, processor)

    def __call__(self, prompts, step):
        return [self._rollout(number) for number in range(len(self.groups[: len(self.rewards)]))]

    def _rollout(self, number):
        group, rewards = self.groups[number], self.rewards[number]
        states = []
        for answer, logs in zip(group.answers, self.logs[number], strict=True):
            states.append(GenerationState(tokens=list(answer), log_probabilities=logs.tolist(), stop="end"))
        predictions = [Prediction(str(number), "x", "y", tokens=len(answer)) for answer in group.answers]
        scores = [ScoredAnswer(reward, {"exact": reward}) for reward in rewards]
        sample = Sample(str(number), LazyImage.from_bytes(b"", "none"), "x")
        return Rollout(RolloutPrompt(group.prompt, number), sample, states, predictions, scores)


def objective(model, processor, rewards, tokens=4096, **changes):
    maker = Maker(model, processor, rewards)
    log = RolloutLog(None, 1, 0)
    options = PolicyOptions(**{**OPTIONS, **changes})
    return PolicyObjective(backend(model, processor, tokens), options, maker, StartPolicy(model), log)


def tuned():
    model = adapted(tiny_model("qwen3_vl")[0], init_lora_weights=True)
    perturb(model)
    return model, tiny_model("qwen3_vl")[1]


def formula_gradients(model, processor, advantages, counted=13):
    logs = stock_logs(model, processor)
    loss = torch.zeros(())
    for group, values in zip(logs, advantages, strict=False):
        for tokens, value in zip(group, values, strict=True):
            loss = loss - value * (tokens - tokens.detach()).exp().sum() / counted
    loss.backward()
    result = gradients_of(model)
    model.zero_grad()
    return result


@pytest.mark.parametrize("tokens", [4096, 64])
def test_a_step_has_the_gradients_of_the_formula_on_the_stock_model(tokens):
    model, processor = tuned()
    expected = formula_gradients(model, processor, [[0.5, -0.5], [-0.25, 0.25]])
    policy = objective(model, processor, [[1.0, 0.0], [0.0, 0.5]], tokens)
    policy.train_step(model, {"prompts": [None, None]}, step_of(model, 2))
    assert worst(gradients_of(model), expected) < 1e-4
    measured = {name: mean.value for name, mean in policy.measurements().items()}
    assert measured["objective_reward"] == 0.375
    assert measured["objective_score_exact"] == 0.375
    assert measured["objective_drawn_gap"] < 1e-5
    assert measured["objective_clip_share"] == 0.0
    assert measured["objective_answer_tokens"] == 3.25


@pytest.mark.parametrize("scores_fit", [True, False])
def test_a_step_that_does_not_fit_is_run_again_in_smaller_packs(scores_fit):
    model, processor = tuned()
    results, lines = [], []
    for packed in (backend(model, processor), failing_backend(model, processor, 64, lines, scores_fit=scores_fit)):
        model.zero_grad()
        policy = objective(model, processor, [[1.0, 0.0], [0.0, 0.5]], kl=0.1)
        policy.packed = packed
        loss = policy.train_step(model, {"prompts": [None, None]}, step_of(model, 2))
        results.append((loss, gradients_of(model), policy.measurements()))
    (loss, grads, measured), (again, grads_again, measured_again) = results
    assert len(lines) == 1
    assert again.item() == pytest.approx(loss.item(), abs=1e-5)
    assert worst(grads_again, grads) < 1e-4
    timed = {"objective_reading_s", "objective_step_s"}
    assert measured_again.keys() == measured.keys()
    for name in measured.keys() - timed:
        assert tuple(measured_again[name]) == pytest.approx(tuple(measured[name]), abs=1e-5), name


def test_a_group_without_spread_is_left_out_and_counted():
    model, processor = tuned()
    expected = formula_gradients(model, processor, [[0.5, -0.5]], counted=5)
    policy = objective(model, processor, [[1.0, 0.0], [0.3, 0.3]])
    policy.train_step(model, {"prompts": [None, None]}, step_of(model, 2))
    assert worst(gradients_of(model), expected) < 1e-4
    assert policy.measurements()["objective_flat_groups"].value == 0.5


def test_a_step_whose_groups_are_all_flat_changes_nothing():
    model, processor = tuned()
    policy = objective(model, processor, [[1.0, 1.0], [0.0, 0.0]])
    loss = policy.train_step(model, {"prompts": [None, None]}, step_of(model, 2))
    assert loss.item() == 0.0
    assert gradients_of(model) == {}


def test_flat_groups_count_in_the_mean_where_they_are_kept():
    model, processor = tuned()
    expected = formula_gradients(model, processor, [[0.5, -0.5], [0.0, 0.0]])
    policy = objective(model, processor, [[1.0, 0.0], [0.3, 0.3]], skip_flat=False)
    policy.train_step(model, {"prompts": [None, None]}, step_of(model, 2))
    assert worst(gradients_of(model), expected) < 1e-4


def test_the_second_update_clips_against_the_probabilities_before_the_first():
    model, processor = tuned()
    reference_model, _ = tuned()
    rewards = [[1.0, 0.0], [0.0, 0.5]]
    policy = objective(model, processor, rewards, updates=2, max_grad_norm=1e9)
    policy.train_step(model, {"prompts": [None, None]}, step_of(model, 2))

    with torch.no_grad():
        old = [logs.clone() for logs in stock_logs(reference_model, processor)[1]]
    step = step_of(reference_model, 2)
    for name, gradient in formula_gradients(reference_model, processor, [[0.5, -0.5]], counted=5).items():
        dict(reference_model.named_parameters())[name].grad = gradient
    step.optimizer.step()
    reference_model.zero_grad()
    now = stock_logs(reference_model, processor)[1]
    answers = torch.tensor([0] * 4 + [1] * 4)
    outcome = policy_loss(
        torch.cat(now), torch.cat(old), torch.tensor([-0.25, 0.25]), answers, ratio="token", clip=(0.2, 0.28)
    )
    (outcome.loss.sum() / 8).backward()
    assert outcome.is_clipped.any()
    assert worst(gradients_of(model), gradients_of(reference_model)) < 1e-3


def test_divergence_from_the_start_is_added_and_measured():
    model = adapted(tiny_model("qwen3_vl")[0], init_lora_weights=True)
    processor = tiny_model("qwen3_vl")[1]
    policy = objective(model, processor, [[1.0, 0.0], [0.0, 0.5]], kl=1.0)
    perturb(model)
    policy.train_step(model, {"prompts": [None, None]}, step_of(model, 2))
    assert policy.measurements()["objective_kl"].value > 0.01


def test_without_a_weight_the_divergence_is_measured_on_the_first_pack_of_a_step_that_is_logged():
    model, processor = tuned()
    policy = objective(model, processor, [[1.0, 0.0], [0.0, 0.5]], tokens=64)
    packs = policy._packs(policy._groups(policy.maker(None, 1), step_of(model, 2)), step_of(model, 2))
    assert len(packs) == 2
    (first,) = policy._with_start([packs], 1)
    (every,) = replace(policy, options=replace(policy.options, kl=1.0))._with_start([packs], 1)
    assert [len(pack["start"]) for pack in every] == [pack["label_count"] for pack in packs]
    assert ["start" in pack for pack in first] == [True, False]
    assert torch.equal(first[0]["start"], every[0]["start"])


def test_an_answer_is_trained_up_to_an_image_token():
    model, processor = tuned()
    policy = objective(model, processor, [[1.0, 0.0]])
    (rollout,) = policy.maker(None, 1)
    rollout.states[0].tokens[1] = processor.image_token_id
    rollout.states[1].tokens[0] = processor.image_token_id
    group = _group(rollout, [0.5, -0.5], processor.image_token_id)
    assert group.answers == ((60,),)
    assert group.values == {"advantage": (0.5,)}
    assert [len(logs) for logs in group.token_values["drawn"]] == [1]


def test_rejected_rows_are_passed_on():
    model, processor = tuned()
    prompt, rejected = RolloutPrompt(groups(processor)[0].prompt, 0), RejectedRow("1", "here", "damaged")
    batch = objective(model, processor, [[1.0, 0.0]]).collate([prompt, rejected])
    assert batch == {"prompts": [prompt], "label_count": 1, "rejected": [rejected]}
