import pytest

from texlens.core.errors import RunError
from texlens.train.checkpoints.folder import checkpoints, fault, last_whole, rotate, seal


@pytest.fixture
def folder(tmp_path):
    for step in (5, 10, 20):
        aside = tmp_path / ".partial" / f"checkpoint-{step}"
        aside.mkdir(parents=True)
        (aside / "weights").write_text(f"weights of step {step}")
        seal(aside, tmp_path / aside.name)
    return tmp_path


def names(paths):
    return [path.name for path in paths]


def test_the_newest_whole_checkpoint_is_found(folder):
    assert last_whole(folder, pytest.fail).name == "checkpoint-20"


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(folder):
    (folder / "checkpoint-20/weights").write_text("weights of step 2O")
    (folder / "checkpoint-10/weights").unlink()
    warnings = []
    assert last_whole(folder, warnings.append).name == "checkpoint-5"
    assert "weights has changed" in warnings[0]
    assert "weights is missing" in warnings[1]


def test_a_checkpoint_without_sums_is_not_whole(folder):
    (folder / "checkpoint-20/checksums.json").unlink()
    assert fault(folder / "checkpoint-20") == "checksums.json is missing or damaged"


def test_no_checkpoint_is_none_and_only_damaged_ones_are_an_error(folder, tmp_path):
    assert last_whole(tmp_path / "empty", pytest.fail) is None
    for checkpoint in checkpoints(folder):
        (checkpoint / "weights").unlink()
    with pytest.raises(RunError, match="every checkpoint is damaged"):
        last_whole(folder, lambda text: None)


def test_old_checkpoints_go_and_the_best_stays(folder):
    rotate(folder, keep=1, best_step=5)
    assert names(checkpoints(folder)) == ["checkpoint-5", "checkpoint-20"]
