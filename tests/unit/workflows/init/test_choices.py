import pytest

from texlens.planner.gpus import find_gpu, gpu_of_memory
from texlens.workflows.init.choices import choices, laid_over, suggested_model
from texlens.workflows.init.data_overview import DataOverview
from texlens.workflows.init.goals import GOALS

FORMULAS = GOALS["formulas"]


def values(data: DataOverview, model: str = "nano", gpu=None, goal=FORMULAS) -> dict:
    return {choice.key: choice.value for choice in choices("x", model, data, goal, gpu)}


@pytest.mark.parametrize(
    ("memory_gib", "model"),
    [
        (4, "nano"),
        (6, "Qwen/Qwen2-VL-2B-Instruct"),
        (8, "Qwen/Qwen3-VL-4B-Instruct"),
        (40, "Qwen/Qwen3-VL-8B-Instruct"),
    ],
)
def test_the_model_follows_the_memory(memory_gib, model):
    assert suggested_model(gpu_of_memory(memory_gib)) == model


def test_without_a_gpu_the_bundled_model_is_suggested():
    assert suggested_model(None) == "nano"


def test_splits_of_the_data_set_are_taken_under_their_own_names():
    chosen = values(DataOverview("d", None, {"training": 900, "val": 50, "test": 60}, "training", 900, 40))
    assert (chosen["data.splits.train"], chosen["data.splits.validation"], chosen["data.splits.test"]) == (
        "training",
        "val",
        "test",
    )


def test_missing_splits_become_shares_of_train():
    chosen = values(DataOverview("d", None, {"train": 900}, "train", 800, 40))
    assert (chosen["data.splits.validation"], chosen["data.splits.test"]) == (0.05, 0.1)


@pytest.mark.parametrize(("rows", "labels"), [(30, 30), (900, 12)])
def test_too_few_rows_or_labels_are_not_divided(rows, labels):
    chosen = values(DataOverview("d", None, {"train": rows}, "train", labels, 40))
    assert (chosen["data.splits.validation"], chosen["data.splits.test"]) == (None, None)


@pytest.mark.parametrize(("rows", "epochs"), [(80, 8), (1_600, 2), (50_000, 1)])
def test_small_sets_are_passed_over_more_often(rows, epochs):
    assert values(DataOverview("d", None, {"train": rows}, "train", rows, 40))["train.epochs"] == epochs


def test_readings_have_room_for_the_longest_label():
    chosen = values(DataOverview("d", None, {"train": 900}, "train", 800, longest_label=1_100))
    assert chosen["evaluate.max_new_tokens"] == 640


def test_large_images_decide_the_pixels_of_a_large_model_alone():
    data = DataOverview("d", None, {"train": 900}, "train", 800, 40, largest_pixels=70_000)
    assert values(data, "Qwen/Qwen3-VL-4B-Instruct")["model.max_pixels"] == 131_072
    assert "model.max_pixels" not in values(data)


def test_a_gpu_without_bfloat16_trains_in_float16():
    chosen = values(DataOverview("d", None, {}), "Qwen/Qwen2-VL-2B-Instruct", find_gpu("t4"))
    assert chosen["model.dtype"] == "float16"


def test_handwriting_is_augmented_and_captions_have_their_own_scores():
    data = DataOverview("d", None, {})
    assert values(data, goal=GOALS["handwriting"])["data.augment"] == "formula"
    assert values(data, goal=GOALS["captions"])["evaluate.metrics"] == ["captions"]


def test_changes_replace_values_in_place_and_add_what_is_new():
    chosen = choices("x", "nano", DataOverview("d", None, {}), FORMULAS, None)
    changed = {
        choice.key: choice for choice in laid_over(chosen, {"train.batch_size": 2, "base.quantize": "nf4"}, "fits")
    }
    assert (changed["train.batch_size"].value, changed["train.batch_size"].reason) == (2, "fits")
    assert changed["base.quantize"].value == "nf4"
    assert len(changed) == len(chosen) + 1
