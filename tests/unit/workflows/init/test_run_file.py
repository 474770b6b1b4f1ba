from dataclasses import dataclass

import pytest

from texlens.config.load import load_config
from texlens.core.errors import ConfigError
from texlens.planner.gpus import gpu_of_memory
from texlens.workflows.init.run_file import Wishes, new_run


def test_the_written_file_is_the_planned_run_and_each_line_has_a_comment(tmp_path):
    result = new_run(Wishes("demo", name="mine"))
    file = tmp_path / "mine.yaml"
    file.write_text(result.text)
    assert load_config(file) == result.config
    assert (result.config.model.path, result.config.name, result.on_gpu) == ("nano", "mine", None)
    assert [line for line in result.text.splitlines() if "#" not in line] == []
    assert result.plan.steps == 5 * 83


@dataclass(frozen=True)
class FakePlan:
    """What `new_run` uses of a GpuPlan: the real one simulates steps, which takes seconds."""

    fits: bool
    change: dict | None
    gpu = gpu_of_memory(8)


def with_plans(monkeypatch, *plans: FakePlan) -> None:
    remaining = list(plans)
    monkeypatch.setattr("texlens.workflows.init.run_file.plan_on_gpu", lambda *_: remaining.pop(0))


def test_a_small_gpu_changes_the_settings_until_the_run_fits(monkeypatch):
    with_plans(monkeypatch, FakePlan(False, {"train.batch_size": 2}), FakePlan(True, {}))
    result = new_run(Wishes("demo", model="Qwen/Qwen3-VL-4B-Instruct", gpu=gpu_of_memory(8)))
    assert result.changes == {"base.quantize": "nf4", "train.batch_size": 2}
    assert (result.config.base.quantize, result.config.train.batch_size) == ("nf4", 2)
    assert "quantize: nf4  # so that it fits 8.0 GiB: in 16 bits the weights alone take 8.3\n" in result.text
    assert "batch_size: 2  # so that it fits 8.0 GiB\n" in result.text


def test_a_large_gpu_changes_nothing(monkeypatch):
    with_plans(monkeypatch, FakePlan(True, {}))
    result = new_run(Wishes("demo", model="Qwen/Qwen3-VL-4B-Instruct", gpu=gpu_of_memory(80)))
    assert (result.changes, result.config.base.quantize) == ({}, "none")


def test_a_model_that_fits_with_no_settings_is_refused(monkeypatch):
    with_plans(monkeypatch, FakePlan(False, None))
    with pytest.raises(ConfigError, match="does not fit a GPU of 8 GiB; choose a smaller model"):
        new_run(Wishes("demo", model="Qwen/Qwen3-VL-8B-Instruct", gpu=gpu_of_memory(8)))


def test_data_that_could_not_be_read_leaves_a_valid_file(tmp_path):
    result = new_run(Wishes(str(tmp_path / "later")))
    assert "no such" in result.data.problem or result.data.problem
    assert result.config.data.splits.validation == 0.05


def test_an_unknown_goal_is_refused():
    with pytest.raises(ConfigError, match="no such goal; choose formulas, handwriting, captions, text"):
        new_run(Wishes("demo", goal="music"))
