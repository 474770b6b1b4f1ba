"""Rollouts to look at: which steps are written, what a line holds, and the pictures of trackers."""

import json

from tests.fixtures.drawn_images import drawn
from texlens.data.sample import LazyImage, Sample
from texlens.inputs.example import Example
from texlens.metrics.prediction import Prediction
from texlens.rewards.score import ScoredAnswer
from texlens.training.objectives.rollout_log import RolloutLog
from texlens.training.objectives.rollout_rows import RolloutPrompt
from texlens.training.objectives.rollouts import Rollout


def rollout(name="a", image=None):
    sample = Sample(name, LazyImage.from_bytes(drawn(40, 20) if image is None else image, name), "x ^ 2")
    answers = {"x": 0.25, "x ^ 2": 1.0, "y": 0.25}
    predictions = [Prediction(name, sample.text, text, "end", 3) for text in answers]
    scores = [ScoredAnswer(reward, {"exact": float(reward == 1.0)}) for reward in answers.values()]
    return Rollout(RolloutPrompt(Example([1], [-100], (1, 2, 2), name), 0), sample, [], predictions, scores)


ADVANTAGES = [-0.5, 1.0, -0.5]


def test_the_first_step_and_every_nth_are_written(tmp_path):
    log = RolloutLog(tmp_path / "rollouts.jsonl", 3, 8)
    for step in range(1, 8):
        log.write(step, [rollout()], [ADVANTAGES])
    assert [json.loads(line)["step"] for line in (tmp_path / "rollouts.jsonl").read_text().splitlines()] == [1, 3, 6]


def test_a_line_has_reference_answers_rewards_scores_and_advantages(tmp_path):
    log = RolloutLog(tmp_path / "rollouts.jsonl", 1, 1)
    log.write(1, [rollout("a"), rollout("b")], [ADVANTAGES, ADVANTAGES])
    (line,) = (tmp_path / "rollouts.jsonl").read_text().splitlines()
    row = json.loads(line)
    assert (row["id"], row["reference"], len(row["answers"])) == ("a", "x ^ 2", 3)
    assert row["answers"][1] == {
        "text": "x ^ 2",
        "stop": "end",
        "tokens": 3,
        "reward": 1.0,
        "scores": {"exact": 1.0},
        "advantage": 1.0,
    }


def test_pictures_have_the_reference_and_each_answer_with_its_reward_the_best_first():
    log = RolloutLog(None, 1, 8)
    log.write(1, [rollout(), rollout("broken", image=b"none")], [ADVANTAGES, ADVANTAGES])
    (picture,) = log.pictures()
    assert picture.image.size == (40, 20)
    assert picture.caption == "reference: x ^ 2\n1.000  x ^ 2\n0.250  x\n0.250  y"
