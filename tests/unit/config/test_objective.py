"""`train.objective`: each kind takes its own options, and what it would ignore is an error."""

import pytest

from texlens.config.load import build_config
from texlens.core.errors import ConfigError

BASE = {"model": {"path": "nano"}, "data": {"path": "demo"}}


def objective(value, train=(), data=()):
    return build_config(
        {
            **BASE,
            "data": {"path": "demo", "splits": {"validation": None}, **dict(data)},
            "train": {"objective": value, **dict(train)},
        }
    ).train.objective


def test_a_name_is_the_objective_with_its_defaults():
    assert (objective("dpo").kind, objective("dpo").beta) == ("dpo", 0.1)
    assert build_config(BASE).train.objective.kind == "sft"


def test_an_option_of_another_objective_is_an_error():
    with pytest.raises(ConfigError, match="answers"):
        objective({"kind": "dpo", "answers": 4})
    with pytest.raises(ConfigError, match="sft_weight"):
        objective({"kind": "kto", "sft_weight": 1})
    with pytest.raises(ConfigError, match="beta"):
        objective({"kind": "sft", "beta": 0.1})


def test_options_without_a_kind_are_an_error():
    with pytest.raises(ConfigError, match="write kind: dpo, kto, orpo or grpo"):
        objective({"beta": 0.2})


def test_an_unknown_objective_is_an_error():
    with pytest.raises(ConfigError, match="ppo"):
        objective("ppo")


def test_clip_bounds_follow_the_ratio():
    assert objective({"kind": "grpo", "updates": 2}).clip == (0.2, 0.28)
    assert objective({"kind": "grpo", "updates": 2, "ratio": "sequence"}).clip == (3e-4, 4e-4)
    assert objective({"kind": "grpo", "updates": 2, "clip_high": 0.5}).clip == (0.2, 0.5)


@pytest.mark.parametrize("option", [{"clip_low": 0.1}, {"clip_high": 0.3}, {"ratio": "sequence"}])
def test_what_one_update_ignores_is_an_error(option):
    with pytest.raises(ConfigError, match=f"{next(iter(option))} has no effect with updates: 1"):
        objective({"kind": "grpo", **option})


def test_code_as_a_reward_is_refused():
    with pytest.raises(ConfigError, match=r"'os:system' names code.*--reward os:system"):
        objective({"kind": "grpo", "rewards": {"os:system": 1.0}})


def test_the_plain_backend_and_kept_features_are_refused():
    with pytest.raises(ConfigError, match=r"objective orpo needs packs"):
        objective("orpo", {"compute": {"backend": "plain"}})
    with pytest.raises(ConfigError, match="cache_features"):
        objective("grpo", {"cache_features": "on"})


def test_the_best_checkpoint_of_grpo_is_not_chosen_by_likelihood():
    with pytest.raises(ConfigError, match="best_by: validation_loss is the likelihood"):
        objective("grpo", data={"splits": {"validation": "validation"}})
    by_score = {"validation": {"generation_rows": 8, "best_by": "exact_match_canonical"}}
    assert objective("grpo", by_score, {"splits": {"validation": "validation"}}).answers == 8
