"""Fields of a row: prompts, history, system turns, loss masks, sizes; and what can not be honored."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.data.pictures import png
from texlens.data.load import load_split
from texlens.data.sample import Turn

USER, ANSWER = {"role": "user", "content": "<image>Read left"}, {"role": "assistant", "content": "x"}


def rows_of(folder, row, name="train.json"):
    """The rows of a file with this one row and an image a.png beside it."""
    (folder / "a.png").write_bytes(png(400, 100))
    lines = row if isinstance(row, list) else [row]
    (folder / name).write_text("\n".join(map(json.dumps, lines)) if name.endswith("l") else json.dumps(lines))
    return load_split(folder / name)


def reason_of(rows) -> str:
    """The reason why the only row is rejected."""
    assert len(rows) == 0
    (row,) = rows.rejected
    return row.reason


@pytest.mark.parametrize(
    "row",
    [
        {"conversations": [{"from": "human", "value": "<image>Read"}, {"from": "gpt", "value": "x"}], "tools": ""},
        {"messages": [{"role": "user", "content": "<image>Read"}, ANSWER]},
    ],
)
def test_the_rows_system_is_its_system_prompt(tmp_path, row):
    (sample,) = rows_of(tmp_path, row | {"system": "You are a LaTeX OCR engine.", "images": ["a.png"]})
    assert (sample.system, sample.prompt, sample.text) == ("You are a LaTeX OCR engine.", "Read", "x")


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"instruction": "Solve", "input": "1+1", "output": "2"}, "Solve\n1+1"),
        ({"input": "1+1", "instruction": "Solve", "output": "2"}, "Solve\n1+1"),
        ({"prompt": "Solve", "query": "1+1", "output": "2"}, "Solve\n1+1"),
        ({"question": "What?", "prompt": "Briefly.", "answer": "2"}, "What?\nBriefly."),
        ({"instruction": "Solve", "input": "", "output": "2"}, "Solve"),
    ],
)
def test_all_prompt_fields_are_part_of_the_prompt(tmp_path, row, prompt):
    (sample,) = rows_of(tmp_path, row | {"image": "a.png"})
    assert (sample.prompt, sample.text) == (prompt, "2")


@pytest.mark.parametrize(
    "history",
    [
        [["Read left", "x"]],
        [{"role": "user", "content": "Read left"}, {"role": "assistant", "content": "x"}],
    ],
)
def test_history_becomes_earlier_turns(tmp_path, history):
    (sample,) = rows_of(tmp_path, {"query": "And right?", "response": "y", "history": history, "images": ["a.png"]})
    assert sample.history == (Turn("user", "Read left"), Turn("assistant", "x"))
    assert (sample.prompt, sample.text) == ("And right?", "y")


def test_history_in_pairs_is_read_from_parquet_too(tmp_path):
    table = {"image": [png(), png()], "text": ["a", "b"], "history": [[["q", "a"]], None]}
    pq.write_table(pa.table(table), tmp_path / "train.parquet")
    rows = load_split(tmp_path)
    assert [row.history for row in rows] == [(Turn("user", "q"), Turn("assistant", "a")), ()]


def test_a_later_system_turn_keeps_its_position(tmp_path):
    turns = [USER, ANSWER, {"role": "system", "content": "In capitals"}, {"role": "user", "content": "Again"}, ANSWER]
    (sample,) = rows_of(tmp_path, {"messages": turns, "images": ["a.png"]})
    assert sample.history == (Turn("user", "Read left"), Turn("assistant", "x"), Turn("system", "In capitals"))
    assert sample.system is None


def test_an_empty_system_turn_is_an_empty_system_prompt(tmp_path):
    (sample,) = rows_of(tmp_path, {"messages": [{"role": "system", "content": ""}, USER, ANSWER], "images": ["a.png"]})
    assert sample.system == ""


@pytest.mark.parametrize(
    ("flag", "fields"),
    [({"loss": False}, {}), ({"weight": 0}, {}), ({}, {"loss_mask": [0, 0, 0, 1]}), ({}, {"loss_mask": [0, 1]})],
)
def test_an_excluded_turn_is_not_trained_on(tmp_path, flag, fields):
    turns = [USER, {"role": "assistant", "content": "BAD"} | flag, {"role": "user", "content": "Again"}, ANSWER]
    (sample,) = rows_of(tmp_path, {"messages": turns, "images": ["a.png"]} | fields)
    assert sample.loss_mask == (False, True)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": [USER, ANSWER | {"loss": False}]}, "every answer is excluded from the loss"),
        ({"messages": [USER, ANSWER | {"weight": 0.5}]}, "'weight' is 0.5; a turn is trained on (1) or not (0)"),
        ({"messages": [USER | {"loss": True}, ANSWER]}, "'loss' asks for a loss on a user turn"),
        ({"messages": [USER, ANSWER], "videos": ["v.mp4"]}, "'videos' is not supported"),
        ({"messages": [{"role": "user", "content": "<image><video>Q"}, ANSWER]}, "video or audio placeholder"),
        ({"messages": [USER, ANSWER | {"reasoning_content": "look"}]}, "'reasoning_content' is not supported"),
        ({"messages": [USER, ANSWER], "tools": [{"name": "f"}]}, "'tools' is not supported"),
        ({"prompt": "<image>\n<image>\nRead", "text": "x"}, "1 images for 2 <image> placeholders"),
        ({"text": "\ud835x"}, "text: character 0 is U+D835, half of a surrogate pair"),
        ({"image": "iVBORw0KGgo" * 40, "text": "x"}, "image data as base64 text"),
        ({"image": "z" * 260 + ".png", "text": "x"}, "a file name of 264 bytes; no file has such a name"),
        ({"image": "a.png\0.jpg", "text": "x"}, "a file name with a NUL character"),
    ],
)
def test_what_can_not_be_honored_is_rejected_by_name(tmp_path, row, reason):
    row = {"images": ["a.png"]} | row if "image" not in row else row
    assert reason in reason_of(rows_of(tmp_path, row))


@pytest.mark.parametrize(
    ("part", "size"),
    [
        ({"resized_height": 50, "resized_width": 200}, (200, 50)),
        ({"max_pixels": 10_000}, (200, 50)),
        ({"resized_height": 999, "resized_width": 999}, (400, 100)),
    ],
)
def test_an_images_own_size_is_a_pixel_budget(tmp_path, part, size):
    content = [{"type": "image", "image": "a.png"} | part, {"type": "text", "text": "Q"}]
    (sample,) = rows_of(tmp_path, {"messages": [{"role": "user", "content": content}, ANSWER]})
    assert sample.image.size == sample.image.load().size == size
