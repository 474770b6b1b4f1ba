import pytest

from tests.unit.workflows.sweep.test_evidence import measured
from texlens.core.errors import RunError
from texlens.core.run_folder import RunFolder
from texlens.workflows.sweep.stopping import StopVerdict
from texlens.workflows.sweep.trial import RECORD, Trial, TrialObserver, last_checkpoint_step


def test_a_record_is_read_back_as_it_was(tmp_path):
    trial = Trial(2, {"adapter.rank": 8}, "trials/002", [measured(0.1)], "stopped", StopVerdict(10, 1, 0.05), None, 3.5)
    trial.write(tmp_path)
    assert Trial.read(tmp_path) == trial
    assert trial.is_finished
    assert trial.best.step == 10


def test_a_folder_without_a_record_is_no_trial_and_a_damaged_one_is_named(tmp_path):
    assert Trial.read(tmp_path) is None
    (tmp_path / RECORD).write_text('{"number": 1}')
    with pytest.raises(RunError, match="remove that trial's folder and resume the sweep"):
        Trial.read(tmp_path)


def test_what_was_measured_after_the_checkpoint_is_forgotten():
    trial = Trial(1, {}, "", [measured(0.3, step=5), measured(0.2, step=10)], verdict=StopVerdict(10, 2, 0.1))
    trial.forget_after(5)
    assert [measurement.step for measurement in trial.measurements] == [5]
    assert trial.verdict is None


def test_the_observer_keeps_each_measurement_on_disk_and_ends_by_the_verdict(tmp_path):
    trial = Trial(1, {}, "trials/001")
    verdicts = iter([None, StopVerdict(8, 2, 0.1)])
    observer = TrialObserver(trial, tmp_path, 1, lambda measurement: next(verdicts))
    assert observer(4, 16, [(10.0, 5)], ()) is False
    assert Trial.read(tmp_path).measurements[0].progress == 0.25
    assert observer(8, 16, [(8.0, 5)], ()) is True
    assert Trial.read(tmp_path).verdict == StopVerdict(8, 2, 0.1)


def test_a_step_that_is_measured_again_replaces_the_first_measurement(tmp_path):
    trial = Trial(1, {}, "", [measured(0.3, step=4), measured(0.2, step=8)])
    TrialObserver(trial, tmp_path, 1, lambda measurement: None)(8, 16, [(8.0, 5)], ())
    assert [(known.step, len(known.batches)) for known in trial.measurements] == [(4, 32), (8, 1)]


def test_the_newest_checkpoint_counts(tmp_path):
    folder = RunFolder(tmp_path)
    assert last_checkpoint_step(folder) == 0
    for step in (2, 10):
        (folder.checkpoints / f"checkpoint-{step}").mkdir(parents=True)
    assert last_checkpoint_step(folder) == 10
