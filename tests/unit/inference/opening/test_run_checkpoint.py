import pytest

from texlens.core.errors import RunError
from texlens.core.run_folder import RunFolder
from texlens.inference.opening.run_checkpoint import checkpoint_steps, open_run_at, run_of_weights, trained_weights


@pytest.fixture
def run(tmp_path):
    run = RunFolder.create(tmp_path, "x")
    for step in (100, 9, 62):
        (run.checkpoints / f"checkpoint-{step}").mkdir(parents=True)
    (run.checkpoints / ".checkpoint-7.partial").mkdir()
    (run.checkpoints / "checkpoint-abc").mkdir()
    run.adapter.mkdir()
    return run


def test_steps_are_sorted_as_numbers(run):
    assert checkpoint_steps(run) == [9, 62, 100]


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        (None, "adapter"),
        ("best", "adapter"),
        ("latest", "checkpoint-100"),
        (62, "checkpoint-62"),
        ("9", "checkpoint-9"),
    ],
)
def test_checkpoint_is_found_by_name(run, name, folder):
    assert trained_weights(run, name).name == folder


@pytest.mark.parametrize("name", ["7", "last", "-1", "62.0", "../x"])
def test_other_names_are_refused_with_the_steps(run, name):
    with pytest.raises(RunError, match=f"no checkpoint {name}; it has 9, 62, 100"):
        trained_weights(run, name)


def test_untrained_run_is_refused(run):
    run.adapter.rmdir()
    with pytest.raises(RunError, match="no adapter in it; train it first"):
        trained_weights(run)


def test_run_of_a_checkpoint_folder(run):
    assert run_of_weights(run.checkpoints / "checkpoint-9").path == run.path
    assert run_of_weights(run.adapter).path == run.path
    assert run_of_weights(run.path) is None


def test_opened_run_has_the_chosen_weights_as_its_adapter(run):
    assert open_run_at(run.path).adapter == run.adapter
    assert open_run_at(run.path, "latest").adapter.name == "checkpoint-100"
    opened = open_run_at(run.checkpoints / "checkpoint-62")
    assert (opened.path, opened.adapter.name) == (run.path, "checkpoint-62")
    with pytest.raises(RunError, match="not a run folder"):
        open_run_at(run.path.parent)
