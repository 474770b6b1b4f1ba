import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from texlens.cli.help import commands_in, wrapped_command
from texlens.cli.main import TOPICS, app


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))


def help_of(path: tuple[str, ...], columns: int = 80) -> str:
    return CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": str(columns)}).stdout


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_no_option_name_is_cut_at_80_columns(path):
    text = help_of(path)
    names = [name for option in COMMANDS[path].params if not option.hidden for name in option.opts if "-" in name]
    assert [name for name in names if name not in text] == []
    assert re.findall(r"-\w*…", text) == []
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("path", [path for path in COMMANDS if path and not hasattr(COMMANDS[path], "commands")])
def test_every_command_has_an_example_that_is_printed_as_it_is_typed(path):
    paragraphs = [part for part in (COMMANDS[path].help or "").split("\n\n") if part.strip().startswith("texlens ")]
    examples = [command for paragraph in paragraphs for command in commands_in(paragraph)]
    assert examples
    printed = re.sub(r" \\\n\s+", " ", help_of(path))
    assert [example for example in examples if example not in printed] == []


def test_commands_are_listed_by_topic_with_their_first_sentence():
    text = help_of(())
    for topic in TOPICS:
        assert f"\n{topic}:\n" in text
    assert "..." not in text.split("Train:")[1]


def test_an_option_stays_with_its_value():
    command = "texlens train run.yaml --set model.path=/models/x --set data.path=y --processes 4"
    assert wrapped_command(command, 60).splitlines() == [
        "texlens train run.yaml --set model.path=/models/x \\",
        "    --set data.path=y --processes 4",
    ]
    assert re.sub(r" \\\n\s+", " ", wrapped_command(command, 30)) == command
    assert wrapped_command(command, 200) == command


def test_lines_of_an_example_are_one_command():
    assert list(commands_in("texlens a\n--b c\ntexlens d")) == ["texlens a --b c", "texlens d"]
