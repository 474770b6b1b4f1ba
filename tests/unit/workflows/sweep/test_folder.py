from pathlib import Path

import pytest

from texlens.core.errors import ConfigError, RunError
from texlens.workflows.sweep.folder import SWEEP, SweepFolder


def test_a_sweep_is_opened_as_it_was_created(plan, tmp_path):
    folder = SweepFolder.create(tmp_path, plan)
    opened, saved = SweepFolder.open(folder.path)
    assert saved == plan
    assert opened.path == tmp_path / "small-sweep"
    assert opened.trial(3).path == tmp_path / "small-sweep/trials/003"
    assert SweepFolder.create(tmp_path, plan).path == tmp_path / "small-sweep-2"


def test_other_folders_and_damaged_records_are_refused(tmp_path):
    with pytest.raises(RunError, match="not a sweep"):
        SweepFolder.open(tmp_path)
    (tmp_path / SWEEP).write_text("{}")
    with pytest.raises(RunError, match="damaged"):
        SweepFolder.open(tmp_path)


def test_a_trial_has_the_run_files_settings_and_its_own(plan):
    config = plan.config({"adapter.rank": 4, "train.epochs": 2}, Path("out"))
    assert (config.adapter.rank, config.adapter.alpha, config.output) == (4, 8, "out")
    assert (config.train.epochs, config.train.steps) == (2, None)
    with pytest.raises(ConfigError, match=r"did you mean 'adapter\.rank'"):
        plan.config({"adapter.rnk": 4}, Path("out"))
