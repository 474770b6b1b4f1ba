from pathlib import Path

import pytest

from texlens.core.errors import ConfigError, RunError
from texlens.evaluation.saved_run import open_run

RUN = Path(__file__).parents[2] / "fixtures" / "run_0_1" / "runs" / "nano"


def test_data_and_evaluation_can_be_changed():
    config, folder = open_run(RUN, ["evaluate.max_rows=2", "data.path=other", "evaluate.limit=3"])
    assert (config.evaluate.max_rows, config.data.path, folder.path) == (3, "other", RUN)


@pytest.mark.parametrize("override", ["adapter.rank=8", "train.steps=9", "name=other"])
def test_what_the_run_was_trained_with_can_not_be_changed(override):
    with pytest.raises(ConfigError, match="of a finished run can't be changed"):
        open_run(RUN, [override])


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="not a run folder"):
        open_run(tmp_path)


def test_a_run_folder_never_allows_a_checkpoint_to_run_code(tmp_path):
    text = (RUN / "config.yaml").read_text().replace("trust_remote_code: false", "trust_remote_code: true")
    (tmp_path / "config.yaml").write_text(text)
    (tmp_path / "run.json").write_text("{}")
    assert "trust_remote_code: true" in text
    assert open_run(tmp_path)[0].model.trust_remote_code is False
    assert open_run(tmp_path, ["model.trust_remote_code=true"])[0].model.trust_remote_code is True
