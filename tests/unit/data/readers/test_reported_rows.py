"""Rows of public bug reports about other trainers, each with its right answer: honored as its format documents it, or
rejected by name. The names are those of the reported cases."""

import json
from typing import Any

import pytest

from tests.unit.data.pictures import png
from tests.unit.data.tables import write_parquet
from texlens.core.errors import DataError
from texlens.data.geometry import ImageGeometry
from texlens.data.load import load_split
from texlens.data.sample import Turn
from texlens.inputs.row_check import check_rows

GEOMETRY = ImageGeometry(16, 2, 2, 1_024, 100_000)
IMAGES = {"images": ["a.png"]}
SYSTEM = "You are a LaTeX OCR engine."


def turns(role: str, text: str, *pairs: tuple[str, str], names=("user", "assistant")) -> list[dict[str, Any]]:
    """Turns in the keys that `role` and `text` name."""
    return [
        turn for pair in pairs for turn in ({role: name, text: part} for name, part in zip(names, pair, strict=True))
    ]


def messages(*pairs: tuple[str, str]) -> list[dict[str, Any]]:
    return turns("role", "content", *pairs)


def conversations(*pairs: tuple[str, str]) -> list[dict[str, Any]]:
    return turns("from", "value", *pairs, names=("human", "gpt"))


def with_field(rows: list[dict[str, Any]], number: int, **fields: Any) -> list[dict[str, Any]]:
    rows[number] |= fields
    return rows


@pytest.fixture
def read(tmp_path):
    """The rows of a file next to two images."""
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(png())

    def read(rows: Any, name: str = "train.json"):
        text = rows if isinstance(rows, str) else json.dumps(rows)
        (tmp_path / name).write_bytes(text.encode("utf-8", "surrogatepass"))
        return load_split(tmp_path / name)

    return read


PAIRS = [["Read the left side", "x"]]
HISTORY = (Turn("user", "Read the left side"), Turn("assistant", "x"))
AGAIN = (("<image>Read left", "BAD"), ("Again", "x"))
HONORED = {
    "sharegpt_system": (
        {"conversations": conversations(("<image>Read it", "x^2")), "system": SYSTEM, "tools": "", **IMAGES},
        {"prompt": "Read it", "system": SYSTEM, "text": "x^2"},
    ),
    "messages_system_row": (
        {"messages": messages(("<image>Read it", "x^2")), "system": SYSTEM, **IMAGES},
        {"prompt": "Read it", "system": SYSTEM, "text": "x^2"},
    ),
    "alpaca_input": (
        {"instruction": "Read the formula.", "input": "Only the left-hand side.", "output": "x^2", **IMAGES},
        {"prompt": "Read the formula.\nOnly the left-hand side.", "text": "x^2"},
    ),
    "x_alpaca_en": (
        {"instruction": "Solve", "input": "1+1", "output": "2", "image": "a.png"},
        {"prompt": "Solve\n1+1", "text": "2"},
    ),
    "alpaca_history": (
        {
            "instruction": "And the right?",
            "input": "",
            "output": "y",
            "history": [["Read the left side", "x"]],
            **IMAGES,
        },
        {"prompt": "And the right?", "history": HISTORY, "text": "y"},
    ),
    "swift_query_history": (
        {"query": "And the right?", "response": "y", "history": PAIRS, **IMAGES},
        {"prompt": "And the right?", "history": HISTORY, "text": "y"},
    ),
    "jl_hist": (
        {"image": "a.png", "text": "x", "prompt": "Q2", "history": messages(("Read the left side", "x"))},
        {"prompt": "Q2", "history": HISTORY, "text": "x"},
    ),
    "loss_false": (
        {"messages": with_field(messages(*AGAIN), 1, loss=False), **IMAGES},
        {"prompt": "Again", "loss_mask": (False, True), "text": "x"},
    ),
    "weight0": (
        {"conversations": with_field(conversations(*AGAIN), 1, weight=0), **IMAGES},
        {"prompt": "Again", "loss_mask": (False, True), "text": "x"},
    ),
    "loss_mask": (
        {"conversations": conversations(*AGAIN), "loss_mask": [0, 0, 0, 1], **IMAGES},
        {"prompt": "Again", "loss_mask": (False, True), "text": "x"},
    ),
    "empty_system_turn": (
        {"messages": [{"role": "system", "content": ""}, *messages(("<image>Read left", "x"))], **IMAGES},
        {"prompt": "Read left", "system": "", "text": "x"},
    ),
    "x_question_prompt": (
        {"image": "a.png", "question": "What?", "prompt": "And the second?", "answer": "x"},
        {"prompt": "What?\nAnd the second?", "text": "x"},
    ),
    "mid_system": (
        {
            "messages": [
                *messages(("<image>Read left", "x")),
                {"role": "system", "content": "From now on answer in capitals"},
                *messages(("Again", "X")),
            ],
            **IMAGES,
        },
        {
            "prompt": "Again",
            "system": None,
            "text": "X",
            "history": (
                Turn("user", "Read left"),
                Turn("assistant", "x"),
                Turn("system", "From now on answer in capitals"),
            ),
        },
    ),
}


@pytest.mark.parametrize("case", HONORED)
def test_row_is_honored_as_its_format_documents(read, case):
    row, expected = HONORED[case]
    rows = read([row] if case != "jl_hist" else json.dumps(row), "train.jsonl" if case == "jl_hist" else "train.json")
    assert rows.rejected == []
    sample = rows[0]
    assert {name: getattr(sample, name) for name in expected} == expected


REFUSED = {
    "x_video": (
        {"messages": messages(("<image><video>Q", "x")), "videos": ["v.mp4"], **IMAGES},
        "video",
    ),
    "reasoning_content": (
        {"messages": with_field(messages(("<image>Read", "x")), 1, reasoning_content="look"), **IMAGES},
        "reasoning_content",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_row_is_rejected_by_the_name_of_its_field(read, case):
    row, field = REFUSED[case]
    (rejected,) = read([row]).rejected
    assert field in rejected.reason


def test_x_crop_is_honored_as_the_pixel_budget_of_its_image(read):
    part = {"type": "image", "image": "a.png", "resized_height": 64, "resized_width": 32}
    row = {"messages": [{"role": "user", "content": [part, {"type": "text", "text": "Q"}]}, messages(("", "x"))[1]]}
    assert read([row])[0].image.max_pixels == 64 * 32


MARKED = [{"image": "a.png", "prompt": "<image>\n<image>\nRead", "text": "x"}] * 3
EMPTY_ANSWER = {"messages": messages(("<image>Q1", ""), ("Q2", "x")), **IMAGES}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [(MARKED, "1 images for 2 <image> placeholders"), ([EMPTY_ANSWER], "0 answer tokens in an earlier answer")],
    ids=["allmarks and valmarks", "x_empty_mid_answer"],
)
def test_rows_that_training_can_not_use_are_refused_beforehand(read, rows, reason):
    loaded = read(rows)
    assert len(loaded) + len(loaded.rejected) == len(rows)
    reasons = [row.reason for row in loaded.rejected]
    if len(loaded):
        reasons += [row.reason for row in check_rows(loaded, GEOMETRY).rejected if row not in loaded.rejected]
    assert len(reasons) == len(rows)
    assert all(reason in text for text in reasons)


def test_jl_prompt_mark_costs_the_one_row_alone(read):
    prompts = ("<image>\nRead it", "Read it\n<image>", "<image>\n<image>\nRead")
    rows = read(
        "".join(json.dumps({"image": "a.png", "prompt": prompt, "text": "x"}) + "\n" for prompt in prompts), "t.jsonl"
    )
    usable = check_rows(rows, GEOMETRY)
    assert len(usable.usable) == 2
    assert "placeholders" in usable.rejected[0].reason


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ('{"image":"b.png","text":"\\ud835x"}', "surrogate"),
        ('{"image":"' + "z" * 300 + '.png","text":"y"}', "name"),
        ('{"image":"' + "iVBORw0KGgoA" * 500 + '","text":"y"}', "base64"),
    ],
    ids=["surrogate", "jl_longname", "raw_b64"],
)
def test_one_bad_row_does_not_stop_the_others(read, second, reason):
    rows = read('{"image":"a.png","text":"x"}\n' + second + "\n", "train.jsonl")
    checked = check_rows(rows, GEOMETRY)
    assert checked.usable.texts() == ["x"]
    assert [reason in row.reason.lower() for row in checked.rejected] == [True]


def test_csv_cr_only_is_read(read):
    assert read("image,text\ra.png,x\rb.png,y\r", "train.csv").texts() == ["x", "y"]


def test_csv_dup_col_is_one_clear_line(read):
    with pytest.raises(DataError, match="2 columns named 'text'; rename or remove all but one"):
        read("image,text,text\na.png,FIRST,SECOND\n", "train.csv")


def test_pq_label_has_its_column_recognized(tmp_path):
    import pyarrow.parquet as pq

    path = write_parquet(tmp_path / "train.parquet", ["a", "b"])
    pq.write_table(pq.read_table(path).rename_columns(["image", "latex"]), path)
    assert load_split(path).texts() == ["a", "b"]


def test_pq_dupid_and_pq_nullid_keep_every_row_apart(tmp_path):
    rows = load_split(write_parquet(tmp_path / "train.parquet", ["a", "b", "c"], id=["1", "1", "2"]))
    assert len(rows) + len(rows.rejected) == 3
    assert len(set(rows.ids())) == len(rows)
    rows = load_split(write_parquet(tmp_path / "test.parquet", ["a", "b", "c"], id=[None, None, "2"]), split="test")
    assert rows.texts() == ["a", "b", "c"]
    assert len(set(rows.ids())) == 3


def test_pq_float_refuses_nan(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = write_parquet(tmp_path / "train.parquet", ["a", "b", "c"])
    table = pq.read_table(path).set_column(1, "text", pa.array([1.0, float("nan"), 2.5]))
    pq.write_table(table, path)
    checked = check_rows(load_split(path), GEOMETRY)
    assert checked.usable.texts() == ["1.0", "2.5"]
    assert len(checked.rejected) == 1


def test_pq_hist_pairs_are_turns(tmp_path):
    path = write_parquet(tmp_path / "train.parquet", ["a", "b", "c"], history=[[["q", "a"]], [], None])
    assert [row.history for row in load_split(path)] == [(Turn("user", "q"), Turn("assistant", "a")), (), ()]
