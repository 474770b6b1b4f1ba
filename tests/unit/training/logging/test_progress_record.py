from datetime import datetime
from types import SimpleNamespace

from texlens.core.run_folder import RunFolder
from texlens.training.logging.progress_record import ProgressRecord


def test_begin_first_step_and_last_step_are_in_the_manifest(tmp_path):
    folder = RunFolder(tmp_path)
    folder.update(state="training")
    state = SimpleNamespace(is_world_process_zero=True, global_step=5, max_steps=20)
    ProgressRecord(folder).on_train_begin(None, state, None)
    progress = folder.manifest["progress"]
    assert (progress["from_step"], progress["max_steps"], folder.manifest["state"]) == (5, 20, "training")
    assert datetime.fromisoformat(progress["started"]).tzinfo is not None


def test_other_processes_of_a_distributed_training_write_nothing(tmp_path):
    state = SimpleNamespace(is_world_process_zero=False, global_step=5, max_steps=20)
    ProgressRecord(RunFolder(tmp_path)).on_train_begin(None, state, None)
    assert list(tmp_path.iterdir()) == []
