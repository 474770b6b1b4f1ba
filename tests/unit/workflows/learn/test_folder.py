"""The state of a folder."""

import pytest

from texlens.core.errors import ConfigError, RunError
from texlens.workflows.learn.folder import LearnFolder


def test_the_first_call_decides_model_and_hold_out(tmp_path):
    folder = LearnFolder(tmp_path)
    folder.begin(hold_out=0.4)
    assert (folder.state.model, folder.state.hold_out, folder.state.rounds) == ("nano", 0.4, ())
    assert folder.begin() == folder.state
    with pytest.raises(ConfigError, match=r"0\.4 of its images are held out"):
        folder.begin(hold_out=0.3)
    with pytest.raises(ConfigError, match="began with the model nano"):
        folder.begin(model="other")


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_hold_out_that_is_no_share_is_refused(tmp_path, share):
    with pytest.raises(ConfigError, match="more than 0 and less than 1"):
        LearnFolder(tmp_path).begin(hold_out=share)
    assert not LearnFolder(tmp_path).has_state


def test_a_second_reader_may_be_named_later(tmp_path):
    LearnFolder(tmp_path).begin()
    assert LearnFolder(tmp_path).begin(second="nano").second == "nano"


def test_a_finished_round_is_recorded_once(tmp_path):
    folder = LearnFolder(tmp_path)
    folder.begin()
    for is_better in (False, True):
        folder.finish_round({"number": 1, "kept": is_better}, "/runs/1" if is_better else "nano")
    assert folder.state.rounds == ({"number": 1, "kept": True},)
    assert (folder.state.model, folder.state.start) == ("/runs/1", "nano")


def test_a_damaged_state_is_named(tmp_path):
    LearnFolder(tmp_path).begin()
    (tmp_path / "learn" / "state.json").write_text("{")
    with pytest.raises(RunError, match=r"state\.json: damaged"):
        _ = LearnFolder(tmp_path).state


def test_a_second_process_is_refused(tmp_path):
    folder = LearnFolder(tmp_path)
    with folder.locked(), pytest.raises(RunError, match="reads or trains here"), LearnFolder(tmp_path).locked():
        pass
