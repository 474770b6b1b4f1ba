"""Rewards: values by definition, names that are known, and code that a run file may not name."""

from importlib.metadata import EntryPoint

import pytest

from texlens.core.errors import ConfigError
from texlens.metrics.prediction import Prediction
from texlens.rewards import registry
from texlens.rewards.registry import REWARDS, check_names, chosen_rewards, reward_names, reward_values


def values(text, reference, **fields):
    return reward_values(Prediction("1", reference, text, **fields), list(REWARDS.values()))


def test_a_right_answer_has_every_reward_and_no_penalty():
    assert values("x ^ { 2 }", "x^2") == {
        "exact": 1.0,
        "cdm_f1": 1.0,
        "edit_similarity": pytest.approx(0.6),
        "valid": 1.0,
        "length": 0.0,
        "repetition": 0.0,
        "error_preservation": 0.0,
    }


def test_a_wrong_answer_has_its_share():
    scores = values("a + c", "a + b")
    assert scores["exact"] == 0.0
    assert scores["cdm_f1"] == pytest.approx(2 / 3)
    assert scores["edit_similarity"] == pytest.approx(2 / 3)


def test_an_unpaired_brace_is_not_valid():
    assert values("\\frac { a", "a")["valid"] == 0.0


@pytest.mark.parametrize(("tokens", "penalty"), [(24, 0.0), (36, -0.5), (48, -1.0), (200, -1.0)])
def test_length_counts_what_is_over_a_quarter_and_four_tokens(tokens, penalty):
    text = " ".join(["a b"] * (tokens // 2))
    assert values(text, " ".join(["a b"] * 8))["length"] == pytest.approx(penalty)


@pytest.mark.parametrize("stop", ["length", "loop"])
def test_a_cut_answer_has_the_whole_length_penalty(stop):
    assert values("a", "a", stop=stop)["length"] == -1.0


def test_repetition_is_found_in_the_text_or_by_its_stop_reason():
    assert values("a b " * 12, "a b")["repetition"] == -1.0
    assert values("a", "a", stop="loop")["repetition"] == -1.0


def test_a_kept_slip_is_rewarded_and_a_corrected_one_is_not():
    assert values("a + c", "a + c", corrected="a + b")["error_preservation"] == 1.0
    assert values("a + b", "a + c", corrected="a + b")["error_preservation"] == 0.0


def test_a_failed_row_is_worth_nothing():
    assert set(values("a", "a", stop="failed").values()) == {0.0}


def test_an_unknown_reward_is_reported_with_the_nearest():
    with pytest.raises(
        ConfigError, match=r"train\.objective\.rewards: no reward is named 'exakt'; did you mean 'exact'"
    ):
        check_names(["exakt"], "train.objective.rewards")


def test_a_run_file_can_not_name_code():
    with pytest.raises(ConfigError, match=r"'os:system' names code.*--reward os:system"):
        check_names(["os:system"], "train.objective.rewards")


def test_a_registered_entry_point_is_a_reward(monkeypatch):
    entry = EntryPoint("same_length", f"{__name__}:same_length", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry])
    (chosen,) = chosen_rewards(["same_length"], "key")
    assert reward_values(Prediction("1", "ab", "cd"), [chosen]) == {"same_length": 1.0}
    assert "same_length" in reward_names()


def same_length(text, reference):
    return float(len(text) == len(reference))
