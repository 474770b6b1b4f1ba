import os
import sys

import pytest

from texlens.cli import main as program
from texlens.core.errors import DataError


@pytest.fixture
def outcome(monkeypatch, capsys, tmp_path):
    """`outcome(error)` is the exit code and standard error of a command in which that error is raised."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["texlens", "runs"])

    def run(error):
        def broken(*_):
            raise error

        monkeypatch.setattr("texlens.core.run_folder.list_runs", broken)
        with pytest.raises(SystemExit) as stop:
            program.main()
        return stop.value.code, capsys.readouterr().err

    return run


def test_an_error_of_several_lines_is_printed_as_one(outcome):
    assert outcome(DataError("row 3:\nnot an image;\nremove it")) == (2, "texlens: row 3: not an image; remove it\n")


def test_a_reader_that_went_away_is_no_error(outcome):
    assert outcome(BrokenPipeError()) == (0, "")


def test_a_key_in_the_env_file_reaches_the_environment(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEXLENS_TEST_KEY", "")
    monkeypatch.delenv("TEXLENS_TEST_KEY")
    monkeypatch.setattr(sys, "argv", ["texlens", "--version"])
    (tmp_path / ".env").write_text("TEXLENS_TEST_KEY=one\n")
    with pytest.raises(SystemExit) as stop:
        program.main()

    assert stop.value.code == 0
    assert os.environ["TEXLENS_TEST_KEY"] == "one"
    assert capsys.readouterr().out.startswith("texlens ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_offered_for_each_shell(shell, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["texlens", "--show-completion"])
    monkeypatch.setattr("shellingham.detect_shell", lambda *_: (shell, f"/bin/{shell}"))
    with pytest.raises(SystemExit) as end:
        program.main()
    assert not end.value.code
    assert "_TEXLENS_COMPLETE" in capsys.readouterr().out


def test_the_shell_is_given_the_commands_that_complete_what_was_typed(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["texlens"])
    for name, value in {"_TEXLENS_COMPLETE": "complete_bash", "COMP_WORDS": "texlens ev", "COMP_CWORD": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        program.main()
    assert capsys.readouterr().out.split() == ["evaluate"]
