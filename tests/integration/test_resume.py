"""Resuming: what has changed is refused by name or accepted and recorded, a finished training is not continued,
signals leave a checkpoint, and a run deleted under way is an error."""

import json
import os
import shutil
import signal
from types import SimpleNamespace

import pytest

from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.fixtures.training import losses, run_training, same_weights
from tests.integration.conftest import LABELS, copy_run, write_rows
from tests.integration.test_training import adapter, settings
from texlens.config.load import build_config, dump_config
from texlens.core.errors import ConfigError, Interrupted, RunError
from texlens.core.files import write_text
from texlens.core.run_folder import RunFolder
from texlens.training.backends.packed import PackedBackend
from texlens.training.checkpoints.folder import list_checkpoints
from texlens.training.checkpoints.state import saved_steps


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"), "qwen3_vl")


@pytest.fixture
def rows(tmp_path):
    write_rows(tmp_path / "rows/train-00000-of-00001.parquet", LABELS)
    return tmp_path / "rows"


def config_of(tiny, output, rows, **train):
    values = settings(tiny, output, **{"steps": 4, "optimizer": {"schedule": "constant"}, **train})
    return build_config({**values, "data": {"path": str(rows), "splits": {"validation": None, "test": None}}})


@pytest.fixture(scope="module")
def trained_half(tiny, tmp_path_factory) -> RunFolder:
    """A run of 4 steps whose process died after the checkpoint of step 2."""
    output = tmp_path_factory.mktemp("half")
    write_rows(output / "rows/train-00000-of-00001.parquet", LABELS)
    config = config_of(tiny, output, output / "rows")
    folder = RunFolder.create(output, "run", dump_config(config))
    run_training(config, folder)
    shutil.rmtree(folder.checkpoints / "checkpoint-4")
    folder.update(state="training")
    return folder


@pytest.fixture
def half(trained_half, tmp_path) -> RunFolder:
    """A copy that a test may change."""
    return RunFolder(copy_run(trained_half.path, tmp_path / "run"))


def test_dead_run_is_interrupted_and_one_at_work_is_not(half):
    assert half.state == "interrupted"
    with half.locked():
        assert RunFolder(half.path).state == "training"


def test_unchanged_run_ends_with_the_same_weights(half, tiny, tmp_path, rows):
    expected = adapter(half)
    run_training(config_of(tiny, tmp_path, rows), half, resume=True)
    assert same_weights(adapter(half), expected)
    assert "segments" not in half.manifest


def test_other_rows_are_refused_by_name(half, tiny, tmp_path, rows):
    write_rows(rows / "train-00000-of-00001.parquet", LABELS[::-1])
    with pytest.raises(RunError, match=r"checkpoint-2: trained with other .*train rows: other rows.*--accept-changes"):
        run_training(config_of(tiny, tmp_path, rows), half, resume=True)


def test_other_base_is_refused_by_name(half, tiny, tmp_path, rows):
    other = write_tiny_checkpoint(tmp_path / "other", "qwen3_vl", seed=1)
    with pytest.raises(RunError, match=r"base: weights [0-9a-f]{12} -> [0-9a-f]{12}"):
        run_training(config_of(other, tmp_path, rows), half, resume=True)


def test_other_settings_are_refused_by_name(half, tiny, tmp_path, rows):
    changed = config_of(tiny, tmp_path, rows, optimizer={"learning_rate": 0.5, "schedule": "constant"})
    with pytest.raises(RunError, match=r"train\.optimizer\.learning_rate: 0\.0001 -> 0\.5"):
        run_training(changed, half, resume=True)


def test_logging_and_a_moved_base_are_no_change(half, tiny, tmp_path, rows):
    moved = shutil.copytree(tiny, tmp_path / "moved")
    run_training(config_of(moved, tmp_path, rows, logging={"every_steps": 2}), half, resume=True)
    assert half.manifest["training"]["steps"] == 4


def test_accepted_changes_take_effect_and_are_recorded_as_a_segment(half, tiny, tmp_path, rows, monkeypatch):
    before = adapter(half)
    changed = config_of(tiny, tmp_path, rows, optimizer={"learning_rate": 0.05, "schedule": "constant"})
    run_training(changed, half, resume=True, accept_changes=True)
    rates = {row["step"]: row["learning_rate"] for row in half.history() if "learning_rate" in row}
    assert rates == {1: 1e-4, 2: 1e-4, 3: 0.05, 4: 0.05}
    assert not same_weights(adapter(half), before)
    segment = half.manifest["segments"][0]
    assert segment["from_step"] == 2
    assert segment["changes"] == {"train.optimizer.learning_rate": "0.0001 -> 0.05"}
    assert "learning_rate: 0.0001" in half.previous(half.config)[0].read_text()


def test_finished_training_is_not_continued(tiny, tmp_path, rows):
    config = config_of(tiny, tmp_path, rows)
    folder = RunFolder.create(tmp_path, "run")
    first = run_training(config, folder)
    expected = adapter(folder)
    shutil.rmtree(folder.adapter)
    again = run_training(config, folder, resume=True)
    assert again["steps"] == first["steps"] == 4
    assert same_weights(adapter(folder), expected)
    assert [saved_steps(path)[0] for path in list_checkpoints(folder.checkpoints)] == [2, 4]


def test_training_stopped_early_is_not_continued(tiny, tmp_path):
    values = settings(
        tiny, tmp_path, steps=20, validation={"every_steps": 2, "early_stopping_patience": 1}, optimizer={}
    )
    values["train"] |= {"optimizer": {"learning_rate": 1e-12}}
    config = build_config({**values, "data": {"path": "demo", "limit": 8}})
    folder = RunFolder.create(tmp_path, "run")
    first = run_training(config, folder)
    assert first["steps"] < 20
    again = run_training(config, folder, resume=True)
    assert (again["steps"], again["best_step"]) == (first["steps"], first["best_step"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_leaves_a_checkpoint_and_the_run_can_be_continued(number, tiny, tmp_path, rows, monkeypatch, capsys):
    config = config_of(tiny, tmp_path, rows, steps=4, checkpoints={"every_steps": 100})
    folder, whole = RunFolder.create(tmp_path, "run"), RunFolder.create(tmp_path, "whole")
    train_step = PackedBackend.train_step

    def send_signal(backend, model, batch, step):
        if step.number == 3:
            os.kill(os.getpid(), number)
        return train_step(backend, model, batch, step)

    monkeypatch.setattr(PackedBackend, "train_step", send_signal)
    handler = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught:
        run_training(config, folder)
    monkeypatch.undo()
    assert caught.value.code == 128 + number
    assert signal.getsignal(number) == handler
    assert (folder.manifest["state"], folder.manifest["stopped_at_step"]) == ("stopped", 3)
    assert [path.name for path in folder.checkpoints.glob("checkpoint-*")] == ["checkpoint-3"]
    run_training(config, folder, resume=True)
    run_training(config, whole)
    assert same_weights(adapter(folder), adapter(whole))
    assert losses(folder) == losses(whole)


def test_command_prints_how_to_continue(texlens, run_file, tmp_path, monkeypatch):
    train_step = PackedBackend.train_step

    def send_signal(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return train_step(*arguments)

    monkeypatch.setattr(PackedBackend, "train_step", send_signal)
    stopped = texlens("train", run_file)
    assert stopped.code == 128 + signal.SIGTERM
    assert f"texlens train --resume {tmp_path / 'runs/tiny'}" in " ".join(stopped.err.split())
    monkeypatch.undo()
    assert texlens("train", "--resume", tmp_path / "runs/tiny", "--no-compare").code == 0


def test_deleted_run_folder_is_an_error(tiny, tmp_path, rows, monkeypatch):
    config = config_of(tiny, tmp_path, rows, checkpoints={"every_steps": 100})
    folder = RunFolder.create(tmp_path, "run")
    train_step = PackedBackend.train_step

    def delete_folder(backend, model, batch, step):
        if step.number == 2:
            shutil.rmtree(folder.path)
        return train_step(backend, model, batch, step)

    monkeypatch.setattr(PackedBackend, "train_step", delete_folder)
    with pytest.raises(RunError, match="the run folder was deleted or moved"):
        run_training(config, folder)


def test_full_disk_is_foreseen(tiny, tmp_path, rows, monkeypatch):
    folder = RunFolder.create(tmp_path, "run")
    monkeypatch.setattr("texlens.training.checkpoints.disk.shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(RunError, match=r"run: the run will write about \d+ MiB there, 0 are free; free some space"):
        run_training(config_of(tiny, tmp_path, rows), folder)


@pytest.mark.parametrize(
    "validation", [{"early_stopping_patience": 2}, {"generation_rows": 2, "best_by": "exact_match"}], ids=str
)
def test_choice_by_validation_needs_validation_rows(validation, tiny, tmp_path, rows):
    with pytest.raises(ConfigError, match=r"train\.validation\.\w+ needs validation rows and data\.splits\.validation"):
        run_training(config_of(tiny, tmp_path, rows, validation=validation), RunFolder.create(tmp_path, "run"))


def test_killed_between_its_first_files_leaves_no_folder_that_can_not_be_resumed(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("texlens.core.run_folder.write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        RunFolder.create(tmp_path, "run", "name: run\n")
    monkeypatch.undo()
    assert not (tmp_path / "run").exists()
    folder = RunFolder.create(tmp_path, "run", "name: run\n")
    assert (folder.path.name, folder.config.read_text()) == ("run", "name: run\n")


def test_damaged_origin_is_one_line(half, tiny, tmp_path, rows):
    from texlens.core.files import sha256_of
    from texlens.training.checkpoints.folder import CHECKSUMS, damage

    checkpoint = half.checkpoints / "checkpoint-2"
    write_text(checkpoint / "origin.json", "[]")
    checksums = json.loads((checkpoint / CHECKSUMS).read_text())
    write_text(checkpoint / CHECKSUMS, json.dumps(checksums | {"origin.json": sha256_of(checkpoint / "origin.json")}))
    assert damage(checkpoint) is None
    with pytest.raises(RunError, match=r"origin\.json: damaged"):
        run_training(config_of(tiny, tmp_path, rows), half, resume=True)


def test_time_limit_ends_training_with_a_checkpoint(tiny, tmp_path, rows, monkeypatch):
    config = config_of(tiny, tmp_path, rows, steps=100, minutes=1e-6, checkpoints={"every_steps": 100})
    folder = RunFolder.create(tmp_path, "run")
    results = run_training(config, folder)
    assert results["steps"] == 1
    assert [path.name for path in folder.checkpoints.glob("checkpoint-*")] == ["checkpoint-1"]
    assert folder.manifest["state"] == "trained"
    assert run_training(config, folder, resume=True)["steps"] == 1


def test_first_step_and_every_nth_are_logged(tiny, tmp_path, rows):
    config = config_of(tiny, tmp_path, rows, steps=5, logging={"first_step": True, "every_steps": 2})
    folder = RunFolder.create(tmp_path, "run")
    run_training(config, folder)
    assert [row["step"] for row in folder.history() if "loss" in row] == [1, 2, 4, 5]


def test_linear_schedule_falls_to_zero_in_equal_steps(tiny, tmp_path, rows):
    config = config_of(tiny, tmp_path, rows, optimizer={"schedule": "linear", "learning_rate": 4e-4})
    folder = RunFolder.create(tmp_path, "run")
    run_training(config, folder)
    rates = [row["learning_rate"] for row in folder.history() if "learning_rate" in row]
    assert rates == pytest.approx([4e-4, 3e-4, 2e-4, 1e-4])


def test_predictions_reach_the_tracker_as_pictures_at_each_validation(tiny, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    validation = {"every_steps": 2, "generation_rows": 2, "metrics": ["exact_match"]}
    logging = {"trackers": ["tensorboard"], "pictures": 1, "every_steps": 1}
    values = settings(tiny, tmp_path, steps=4, validation=validation, logging=logging)
    config = build_config({**values, "data": {"path": "demo", "limit": 8}, "evaluate": {"max_new_tokens": 4}})
    folder = RunFolder.create(tmp_path, "run")
    run_training(config, folder)
    events = EventAccumulator(str(folder.path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Images("predictions/0")] == [2, 4]
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3, 4]
    assert [event.step for event in events.Scalars("eval/exact_match")] == [2, 4]
    caption = events.Tensors("predictions/0/text_summary")[0].tensor_proto.string_val[0].decode()
    assert caption.startswith("reference: ")
    assert len(events.Images("loss_plot/0")) == 1


def test_float16_needs_a_gpu_for_its_gradient_scaler(tiny, tmp_path, rows):
    values = config_of(tiny, tmp_path, rows).model_dump(mode="json", exclude_unset=True)
    config = build_config({**values, "model": {"path": str(tiny), "dtype": "float16", "device": "cpu"}})
    with pytest.raises(ConfigError, match=r"model\.dtype: float16 trains with a gradient scaler, which needs a GPU"):
        run_training(config, RunFolder.create(tmp_path, "run"))
