import json

import pytest
from rich.table import Table

from texlens.cli.shared import check_split, message_console, print_json, result_console, uses_cache
from texlens.core.errors import ConfigError


def test_json_keeps_letters_of_every_script(capsys):
    print_json({"question": "转换成LaTeX公式", "value": 0.5})
    assert capsys.readouterr().out == '{\n  "question": "转换成LaTeX公式",\n  "value": 0.5\n}\n'


def test_messages_go_to_standard_error_and_results_to_standard_output(capsys):
    message_console().print("reading")
    result_console().print("read")
    assert capsys.readouterr() == ("read\n", "reading\n")


def test_a_long_path_is_not_broken(capsys):
    path = "/a/very/long/folder" * 20
    result_console().print(f"report: {path}")
    assert capsys.readouterr().out == f"report: {path}\n"


ESCAPE = "\x1b]8;;http://evil.example\x1b\\\x1b[31mred\x9b31m\x07"


def test_escape_sequences_of_data_are_shown_and_not_sent_to_the_terminal(capsys):
    console = result_console()
    table = Table("label")
    table.add_row(ESCAPE)
    console.print(table)
    console.print(ESCAPE, markup=False)
    message_console().print(ESCAPE)
    for output in capsys.readouterr():
        assert "red" in output
        assert not {"\x1b", "\x9b", "\x07"} & set(output)


def test_escape_sequences_are_escaped_in_json(capsys):
    print_json({"label": ESCAPE})
    output = capsys.readouterr().out
    assert json.loads(output) == {"label": ESCAPE}
    assert output.replace("\n", "").isprintable()


def test_split_with_a_typo_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"--split tets: no such split of a run; did you mean test\?"):
        check_split("tets")


def test_old_name_of_no_cache_works_with_one_line(capsys):
    assert [uses_cache(True, False), uses_cache(False, False), uses_cache(True, True)] == [True, False, False]
    assert capsys.readouterr().err.count("--fresh is the old name of --no-cache") == 1
