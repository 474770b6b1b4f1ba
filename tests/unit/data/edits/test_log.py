"""The edits file: appended to, versioned, kill-safe, shared by processes."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from texlens.core.errors import DataError
from texlens.data.edits.log import CONFLICT, EditLog

MANY = """
import sys, pathlib
from texlens.data.edits.log import EditLog
log = EditLog(pathlib.Path(sys.argv[1]))
for number in range(40):
    log.append(f"{sys.argv[2]}-{number}", "label", "x", who=sys.argv[2])
"""


@pytest.fixture
def log(tmp_path):
    return EditLog(tmp_path / "a" / "edits.jsonl")


def test_an_edit_says_who_when_old_and_new(log):
    edit = log.append("r", "label", "y", who="anna", old="x", split="train", id="train-3", note="read again")
    assert (edit.number, edit.who, edit.old, edit.new, edit.note) == (1, "anna", "x", "y", "read again")
    assert edit.when.endswith("+00:00")
    assert EditLog(log.path).edits() == [edit]


def test_old_is_the_value_of_the_edit_before(log):
    log.append("r", "label", "y", who="anna", old="x")
    assert log.append("r", "label", "z", who="ben", old="x").old == "y"


def test_nothing_before_an_edit_ever_changes(log):
    log.append("r", "label", "y", who="anna")
    before = log.path.read_bytes()
    log.append("r", "label", None, who="anna")
    assert log.path.read_bytes().startswith(before)


def test_a_file_that_is_not_there_has_no_edits(log):
    assert log.edits() == []
    assert log.version == 0


def test_a_version_is_the_edits_up_to_its_number(log):
    log.append("r", "label", "y", who="anna")
    log.append("r", "exclude", "blurred", who="anna")
    assert log.rows(1)["r"].excluded is None
    assert log.rows(2)["r"].excluded == "blurred"
    assert log.rows(0) == {}
    with pytest.raises(DataError, match="no version 3; the last is 2"):
        log.rows(3)


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_last_line_that_a_kill_cut_short_is_left_out_and_then_replaced(log, cut):
    log.append("r", "label", "y", who="anna")
    complete = log.path.read_bytes()
    log.append("s", "label", "z", who="anna")
    log.path.write_bytes(log.path.read_bytes()[: len(complete) + cut])
    again = EditLog(log.path)
    assert [edit.row for edit in again.edits()] == ["r"]
    again.append("t", "label", "w", who="ben")
    assert [edit.row for edit in EditLog(log.path).edits()] == ["r", "t"]


def test_a_header_that_a_kill_cut_short_is_written_again(log):
    log.path.parent.mkdir()
    log.path.write_text('{"format": "texl')
    assert log.edits() == []
    log.append("r", "label", "y", who="anna")
    assert len(EditLog(log.path).edits()) == 1


def test_a_damaged_line_between_others_is_named(log):
    for row in "rst":
        log.append(row, "label", "y", who="anna")
    lines = log.path.read_text().splitlines(keepends=True)
    log.path.write_text("".join([*lines[:2], "{damaged\n", *lines[3:]]))
    with pytest.raises(DataError, match=r"edits\.jsonl line 3: not an edit"):
        EditLog(log.path).edits()


def test_a_missing_line_is_noticed(log):
    for row in "rst":
        log.append(row, "label", "y", who="anna")
    lines = log.path.read_text().splitlines(keepends=True)
    log.path.write_text("".join([*lines[:2], *lines[3:]]))
    with pytest.raises(DataError, match="edit 3 follows edit 1"):
        EditLog(log.path).edits()


@pytest.mark.parametrize(
    ("text", "message"),
    [("image,text\n", "not a file of edits"), ('{"format": "texlens-edits", "version": 2}\n', "upgrade texlens")],
)
def test_another_file_is_refused_and_never_written_to(log, text, message):
    log.path.parent.mkdir()
    log.path.write_text(text)
    with pytest.raises(DataError, match=message):
        log.append("r", "label", "y", who="anna")
    assert log.path.read_text() == text


def test_a_row_that_somebody_else_changed_meanwhile_is_a_conflict(log):
    EditLog(log.path).append("r", "label", "theirs", who="ben")
    with pytest.raises(DataError, match="changed to 'theirs' in the meantime") as caught:
        log.append("r", "label", "mine", who="anna", expected=None)
    assert caught.value.kind == CONFLICT
    log.append("r", "label", "mine", who="anna", expected="theirs")
    assert log.rows()["r"].label == "mine"


def test_an_edit_of_another_process_is_seen(log):
    log.append("r", "label", "y", who="anna")
    EditLog(log.path).append("s", "label", "z", who="ben")
    assert [edit.row for edit in log.edits()] == ["r", "s"]


def test_two_processes_lose_no_edit(log):
    log.append("first", "label", "x", who="me")
    writers = [subprocess.Popen([sys.executable, "-c", MANY, str(log.path), name]) for name in ("a", "b")]
    assert [writer.wait() for writer in writers] == [0, 0]
    edits = log.edits()
    assert [edit.number for edit in edits] == list(range(1, 82))
    assert {edit.row for edit in edits} == {"first"} | {f"{name}-{n}" for name in "ab" for n in range(40)}


def test_every_line_is_json(log):
    log.append("r", "label", "a\nb\u2028", who="anna")
    assert [json.loads(line)["format" if number == 0 else "new"] for number, line in enumerate(log.path.open())] == [
        "texlens-edits",
        "a\nb\u2028",
    ]


def test_threads_share_a_log(log):
    def work(thread):
        for number in range(40):
            log.append(f"{thread}-{number}", "label", "x", who="anna")
            assert len(log.rows()) >= number

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(EditLog(log.path).rows()) == 160


def test_one_row_is_what_all_rows_have_of_it(log):
    for row, text in (("a", "x"), ("b", "y"), ("a", "z")):
        log.append(row, "label", text, who="anna")
    assert log.row("a") == log.rows()["a"]
    assert not log.row("c").is_changed
