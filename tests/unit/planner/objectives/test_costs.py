"""What objectives add to a plan."""

import pytest

from texlens.config.load import build_config
from texlens.config.model import ModelSettings
from texlens.inference.engine.cache import pages_for
from texlens.models.bundled import bundled_config
from texlens.models.checkpoint import read_config
from texlens.models.meta_model import build_config as model_config_of
from texlens.planner.gpus import find_gpu
from texlens.planner.objectives.costs import answer_sizes, reserved_bytes
from texlens.planner.objectives.rollouts import rollout_plan
from texlens.planner.plan import plan_on_gpu
from texlens.planner.rows import ASSUMED, RowSize
from texlens.planner.run_plan import NANO_FOLDER

MODEL = "Qwen/Qwen3-VL-4B-Instruct"


def config_of(objective):
    splits = {"validation": None}
    return build_config(
        {
            "model": {"path": MODEL},
            "data": {"path": "demo", "splits": splits},
            "train": {"objective": objective, "batch_size": 32},
        }
    )


def reserved(objective):
    return reserved_bytes(config_of(objective), model_config_of(bundled_config(MODEL)), 1000, on_gpu=True)


def test_likelihood_reserves_nothing_and_a_comparison_two_copies_of_what_is_trained():
    assert reserved("sft") == reserved("orpo") == {}
    assert reserved("dpo") == reserved("kto") == {"model at the start": 2000}


def test_drawing_reserves_the_engine_s_cache_for_all_slots():
    grpo = {"kind": "grpo", "answers": 8, "max_new_tokens": 256}
    plan = rollout_plan(config_of(grpo).train.objective, 32, None)
    assert plan.slots == 256
    per_position = 2 * 36 * 8 * 128 * 2
    assert reserved(grpo)["rollouts"] > plan.slots * 768 * per_position


def test_twice_as_many_answers_share_the_room_that_long_prompts_need():
    objective = config_of({"kind": "grpo", "answers": 8, "max_new_tokens": 115}).train.objective
    usual, many = rollout_plan(objective, 32, None), rollout_plan(objective, 100, None)
    assert (usual.slots, many.slots) == (256, 512)
    assert many.pages == usual.pages == 256 * 20
    assert many.pages >= 512 * pages_for(170 + 115)


@pytest.mark.parametrize(("objective", "answers"), [("sft", 1), ("dpo", 2), ("kto", 2), ("orpo", 2), ("grpo", 8)])
def test_answers_share_image_and_prompt(objective, answers):
    (size,) = answer_sizes(config_of(objective), [ASSUMED])
    assert size.image == ASSUMED.image
    assert (size.text, size.answer) == (117 + 80 * (answers - 1), 80 * answers)


def test_the_plan_of_a_gpu_names_what_is_reserved():
    config = config_of("grpo").model_copy(update={"model": ModelSettings(path="nano")})
    plan = plan_on_gpu(config, read_config(NANO_FOLDER), [RowSize(((4, 8),), 20, 8)] * 4, find_gpu("h200"))
    assert plan.memory.parts["rollouts"] > 0.5
    assert plan.memory.parts["model at the start"] > 0
    assert any("drawing 8 answers" in note for note in plan.notes)
