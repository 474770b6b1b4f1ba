"""A user's own reward: its form, and errors in one line."""

import pytest

from texlens.core.errors import ConfigError
from texlens.metrics.prediction import Prediction
from texlens.rewards.own import OwnReward
from texlens.rewards.registry import reward_values


def test_a_function_of_a_module_in_this_folder_is_loaded(tmp_path, monkeypatch):
    (tmp_path / "own_reward_a.py").write_text("def starts(text, reference):\n    return text[0] == reference[0]\n")
    monkeypatch.chdir(tmp_path)
    reward = OwnReward.parse("own_reward_a:starts=0.5")
    assert reward.weight == 0.5
    assert reward_values(Prediction("1", "ab", "ac"), [reward.load()]) == {"own_reward_a:starts": 1.0}


@pytest.mark.parametrize("text", ["score", "a:b:c", "a:b=x", "a b:c", ":f", "a:=1"])
def test_another_form_is_an_error(text):
    with pytest.raises(ConfigError, match="write it as module:function"):
        OwnReward.parse(text)


def test_a_module_that_is_not_there_is_an_error():
    with pytest.raises(ConfigError, match=r"no_such_module_x can't be imported"):
        OwnReward("no_such_module_x:f").load()


def test_a_function_that_is_not_there_is_an_error():
    with pytest.raises(ConfigError, match="json has no function score"):
        OwnReward("json:score").load()


def test_a_module_that_fails_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "own_reward_b.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        OwnReward("own_reward_b:f").load()
