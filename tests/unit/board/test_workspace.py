import pytest

from texlens.board.workspace import open_workspace
from texlens.core.errors import ConfigError, RunError


def test_a_run_is_named_by_its_folder_alone(folder):
    workspace = open_workspace(folder)
    assert workspace.run("nano").path == folder / "nano"
    for name in ("../runs/nano", "nano/", ".", "", "/etc"):
        with pytest.raises(RunError, match="no such run"):
            workspace.run(name)


def test_a_run_folder_or_a_file_is_refused(folder):
    with pytest.raises(ConfigError, match=r"a run folder; .* texlens board "):
        open_workspace(folder / "nano")
    with pytest.raises(ConfigError, match="not a folder"):
        open_workspace(folder / "nano" / "run.json")


def test_two_boards_have_tokens_and_cookies_of_their_own(folder):
    first, second = open_workspace(folder), open_workspace(folder)
    assert first.state == second.state
    assert first.cookie != second.cookie
    assert first.is_token(first.token)
    assert not first.is_token(second.token)
    assert not first.is_token(None)
    assert not first.is_token("é")
