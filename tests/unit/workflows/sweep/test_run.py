import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.fixtures.thorough import later
from tests.fixtures.training import run_training, same_weights
from tests.unit.workflows.sweep.conftest import swept
from texlens.config.load import load_config
from texlens.core.errors import ConfigError, RunError
from texlens.core.run_folder import RunFolder
from texlens.workflows.sweep.folder import SweepFolder, SweepPlan
from texlens.workflows.sweep.report import sweep_json
from texlens.workflows.sweep.run import write_run_file
from texlens.workflows.sweep.trial import RECORD, Trial

DAMAGES = ["between trials", "before the checkpoint", "after a checkpoint", "before the record"]


def adapters(folder: SweepFolder) -> list[dict]:
    return [load_file(folder.trial(number).adapter / "adapter_model.safetensors") for number in range(1, 5)]


def outcome(result) -> dict:
    """All but times and loads, which a sweep that goes on does not repeat."""
    value = sweep_json(result, finished=True)
    return {key: part for key, part in value.items() if key not in ("seconds", "loads")}


def test_all_trials_share_one_model_and_one_reading_of_the_rows(finished):
    assert (finished.model_loads, finished.data_reads) == (1, 1)
    assert [trial.state for trial in finished.trials] == ["done", "done", "stopped", "done"]
    assert (finished.trials[2].verdict.better, finished.trials[2].verdict.step) == (2, 2)
    assert [trial.point["adapter.rank"] for trial in finished.trials] == [2, 2, 4, 4]


@pytest.mark.parametrize("number", [1, 4])
def test_a_trial_equals_the_same_training_alone(finished, tmp_path, number):
    trial = finished.folder.trial(number)
    single = RunFolder.create(tmp_path, "single")
    run_training(load_config(trial.config), single)
    assert same_weights(
        load_file(single.adapter / "adapter_model.safetensors"), load_file(trial.adapter / "adapter_model.safetensors")
    )
    assert single.history()[-1]["eval_loss"] == pytest.approx(trial.history()[-1]["eval_loss"], abs=1e-6)


@pytest.mark.parametrize("damage", later(DAMAGES, in_short=["after a checkpoint"]))
def test_a_killed_sweep_goes_on_and_ends_the_same(finished, plan, tmp_path, damage):
    folder = SweepFolder(Path(shutil.copytree(finished.folder.path, tmp_path / "killed")))
    for number in (3, 4):
        shutil.rmtree(folder.trial(number).path)
    second = folder.trial(2)
    if damage != "between trials":
        trial = Trial.read(second.path)
        trial.state = "running"
        trial.write(second.path)
        second.update(state="training")
    if damage == "before the checkpoint":
        shutil.rmtree(second.checkpoints)
        shutil.rmtree(second.adapter)
    if damage == "after a checkpoint":
        shutil.rmtree(second.checkpoints / "checkpoint-4")
    if damage == "before the record":
        (second.path / RECORD).unlink()
    opened, saved = SweepFolder.open(folder.path)
    assert saved == plan
    again = swept(opened, saved)
    assert outcome(again) == outcome(finished)
    assert all(
        same_weights(left, right) for left, right in zip(adapters(folder), adapters(finished.folder), strict=True)
    )


def test_the_best_trial_becomes_a_run_file(finished):
    config = load_config(write_run_file(finished))
    assert config.adapter.rank == finished.best.point["adapter.rank"]
    assert config.train.optimizer.learning_rate == finished.best.point["train.optimizer.learning_rate"]
    assert (config.name, config.output) == ("small-sweep-best", str(finished.folder.path.parent))


def test_other_settings_under_the_same_trial_are_refused(finished, plan, tmp_path):
    folder = SweepFolder(Path(shutil.copytree(finished.folder.path, tmp_path / "other")))
    with pytest.raises(RunError, match="start a new sweep"):
        swept(folder, replace(plan, over=("adapter.rank=8,4", plan.over[1])))


def test_a_sweep_needs_validation_rows(plan, values, tmp_path):
    without = {**values, "data": {**values["data"], "splits": {"validation": None, "test": None}}}
    bare = replace(plan, values=without)
    with pytest.raises(ConfigError, match="a sweep compares trials on validation rows"):
        swept(SweepFolder.create(tmp_path, bare), bare)


def test_a_trial_that_can_not_be_trained_is_failed_and_the_sweep_goes_on(plan, tmp_path):
    mixed = replace(plan, over=("adapter.rank=2,4", "adapter.init=default,orthogonal", "adapter.dora=true,false"))
    result = swept(SweepFolder.create(tmp_path, replace(mixed, trials=3)), replace(mixed, trials=3))
    states = {trial.number: (trial.state, trial.point["adapter.init"]) for trial in result.trials}
    assert states[3] == ("failed", "orthogonal")
    assert "can't be combined" in result.trials[2].error
    assert result.best is not None


def test_trials_are_ranked_by_the_score_that_the_run_file_names(values, tmp_path):
    train = {**values["train"], "validation": {"every_steps": 2, "generation_rows": 6, "best_by": "edit_similarity"}}
    train["validation"]["metrics"] = ["edit_similarity"]
    over = ("train.optimizer.learning_rate=1e-4,3e-2",)
    evaluate = {"max_new_tokens": 4}
    plan = SweepPlan("scored", {**values, "train": train, "evaluate": evaluate}, over, 2, "grid", by="edit_similarity")
    result = swept(SweepFolder.create(tmp_path, plan), plan)
    value = sweep_json(result, finished=True)
    assert value["by"] == "edit_similarity"
    for trial in value["trials"]:
        run = RunFolder(result.folder.path / trial["run"])
        logged = [row["eval_edit_similarity"] for row in run.history() if "eval_edit_similarity" in row]
        assert trial["edit_similarity"]["value"] == pytest.approx(max(logged))
    ranked = [trial["edit_similarity"]["value"] for trial in value["trials"]]
    assert ranked == sorted(ranked, reverse=True)
    assert value["best"] == value["trials"][0]["number"]
    assert "edit similarity (95%)" in result.folder.report.read_text()
