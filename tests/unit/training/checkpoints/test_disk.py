import pytest

from texlens.training.checkpoints import folder as checkpoint_folder
from texlens.training.checkpoints.folder import damage, list_checkpoints, prune


def names(paths):
    return [path.name for path in paths]


def test_old_checkpoints_are_removed_and_the_best_stays(folder):
    prune(folder, keep=1, best_step=5)
    assert names(list_checkpoints(folder)) == ["checkpoint-5", "checkpoint-20"]


def test_killed_removal_leaves_no_incomplete_checkpoint(folder, monkeypatch):
    def killed(path, **_):
        (path / "adapter_model.safetensors").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint_folder.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        prune(folder, keep=1, best_step=None)
    assert [damage(checkpoint) for checkpoint in list_checkpoints(folder)] == [None]
    monkeypatch.undo()
    prune(folder, keep=1, best_step=None)
    assert not list(folder.glob(".removed-*"))
