import json

import pytest

from texlens.core.errors import RunError
from texlens.training.checkpoints.folder import CHECKSUMS, damage, latest_complete, list_checkpoints


def test_checkpoint_of_the_highest_step_is_the_latest(folder):
    assert latest_complete(folder, pytest.fail).name == "checkpoint-20"


def test_damaged_checkpoints_are_reported_and_the_one_before_is_used(folder):
    (folder / "checkpoint-20/trainer_state.json").write_text("trainer_state.json of step 2O")
    (folder / "checkpoint-10/optimizer.safetensors").unlink()
    warnings = []
    assert latest_complete(folder, warnings.append).name == "checkpoint-5"
    assert "trainer_state.json has changed" in warnings[0]
    assert "optimizer.safetensors is missing" in warnings[1]


def test_checkpoint_without_checksums_is_incomplete(folder):
    (folder / "checkpoint-20" / CHECKSUMS).unlink()
    assert damage(folder / "checkpoint-20") == "checksums.json is missing or damaged"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "checksums.json is damaged"),
        ("[" * 100_000, "checksums.json is missing or damaged"),
        ("{}", "checksums.json does not list trainer_state.json"),
        ('{"trainer_state.json": "0"}', "checksums.json does not list weights"),
        ('{"trainer_state.json": "0", "model.safetensors": "0"}', "checksums.json does not list the optimizer's state"),
    ],
)
def test_checksums_must_list_the_files_that_resuming_needs(folder, text, reason):
    (folder / "checkpoint-20" / CHECKSUMS).write_text(text)
    assert damage(folder / "checkpoint-20") == reason


def test_checksums_of_files_outside_of_the_checkpoint_are_refused(folder):
    checksums = folder / "checkpoint-20" / CHECKSUMS
    checksums.write_text(json.dumps({**json.loads(checksums.read_text()), "../checkpoint-5/random-0.json": "0"}))
    assert "outside of the checkpoint" in str(damage(folder / "checkpoint-20"))


def test_no_checkpoint_is_none_and_only_damaged_ones_are_an_error(folder, tmp_path):
    assert latest_complete(tmp_path / "empty", pytest.fail) is None
    for checkpoint in list_checkpoints(folder):
        (checkpoint / "trainer_state.json").unlink()
    with pytest.raises(RunError, match="every checkpoint is damaged"):
        latest_complete(folder, lambda text: None)
