"""Rows, fields and files that once passed unseen or stopped an import: each is honored, or rejected with its reason."""

import io
import json
import os
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.unit.data.pictures import encoded, noise, png
from texlens.core.errors import DataError
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


def test_a_bad_row_of_a_json_list_does_not_stop_the_rest(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    deep = '{"image": "a.png", "text": "x", "deep": ' + "[" * 100_000 + "]" * 100_000 + "}"
    number = '{"image": "a.png", "text": "x", "level": ' + "7" * 5_000 + "}"
    broken = '{"image": a.png, "text": "x"}'
    good = '{"image": "a.png", "text": "y"}'
    (tmp_path / "rows.json").write_text(f"[{good}, {deep}, {number}, {broken}, {good}]")
    rows = load_split(tmp_path / "rows.json", format="records")
    assert rows.texts() == ["y", "y"]
    reasons = [row.reason for row in rows.rejected]
    assert ["nested too deeply" in reasons[0], "4,300 digits" in reasons[1], "not JSON" in reasons[2]] == [True] * 3


def test_bad_lines_of_jsonl_do_not_stop_the_rest(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    bad = ['{"image": "a.png", "text": ' + "7" * 5_000 + "}", "[" * 100_000, "{"]
    (tmp_path / "rows.jsonl").write_text("\n".join([*bad, '{"image": "a.png", "text": "y"}']))
    rows = load_split(tmp_path / "rows.jsonl", format="records")
    assert (rows.texts(), len(rows.rejected)) == (["y"], 3)


def test_a_csv_with_cr_alone_at_its_line_ends_is_read(tmp_path):
    (tmp_path / "train.csv").write_bytes(b"image,text\ra.png,x\rb.png,y\r")
    assert load_split(tmp_path / "train.csv").texts() == ["x", "y"]


def test_a_quote_that_is_not_closed_costs_one_line(tmp_path):
    (tmp_path / "train.csv").write_text('image,text\na.png,x\na.png,"y\na.png,z\na.png,"w\nw"\n')
    rows = load_split(tmp_path / "train.csv")
    assert rows.texts()[0] == "x"
    assert rows.total == len(rows) + len(rows.rejected)
    assert "w\nw" in rows.texts() or "z" in rows.texts()


def test_deep_json_in_a_cell_rejects_its_row(tmp_path):
    deep = "[" * 5_000 + "]" * 5_000
    (tmp_path / "train.csv").write_text(f'image,text,extra\na.png,x,"{deep}"\na.png,y,\n')
    rows = load_split(tmp_path / "train.csv")
    assert (rows.texts(), rows.rejected[0].reason.split(";")[0]) == (["y"], "JSON nested too deeply in a cell")


def test_two_columns_of_one_name_are_one_clear_line(tmp_path):
    (tmp_path / "train.csv").write_text("image,text,text\na.png,FIRST,SECOND\n")
    with pytest.raises(DataError, match="2 columns named 'text'; rename or remove all but one"):
        load_split(tmp_path / "train.csv")


def test_parquet_with_latex_texts_and_nan_is_read(tmp_path):
    pq.write_table(pa.table({"image": [png()], "latex": ["x"]}), tmp_path / "train.parquet")
    assert load_split(tmp_path).texts() == ["x"]
    pq.write_table(pa.table({"image": [png()] * 3, "text": [1.0, float("nan"), 2.5]}), tmp_path / "train.parquet")
    rows = load_split(tmp_path)
    assert (rows.texts(), rows.rejected[0].reason) == (["1.0", "2.5"], "the text is NaN or Inf; fill it in")


@pytest.mark.parametrize("images", [[1, 2], [[1], [2]]])
def test_a_parquet_column_without_images_is_one_clear_line(tmp_path, images):
    pq.write_table(pa.table({"image": images, "text": ["x", "y"]}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"column 'image' holds .*, not images; name another with --image-column"):
        load_split(tmp_path)


def test_every_file_of_a_folder_is_accounted_for(tmp_path):
    for name in ("a.PNG", "b.Jpg", "c.png", "g.png", "sub/a.png", "sp ace é.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png())
    (tmp_path / "e.avif").write_bytes(encoded(noise(64, 32), "AVIF"))
    (tmp_path / "f.jfif").write_bytes(encoded(noise(64, 32), "JPEG"))
    (tmp_path / "i.jp2").write_bytes(encoded(noise(64, 32), "JPEG2000"))
    for name in (
        "a.txt",
        "b.txt",
        "c.TXT",
        "e.txt",
        "f.txt",
        "i.txt",
        "orphan.txt",
        "sub/a.txt",
        "sp ace é.txt",
        "g.tex",
    ):
        (tmp_path / name).write_text("x")
    for name in (".ipynb_checkpoints/c-checkpoint.png", "__MACOSX/._c.png", ".DS_Store"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    rows = load_split(tmp_path)
    assert rows.ids() == ["a", "b", "c", "e", "f", "i", "sp ace é", "sub/a"]
    assert [row.image.load().size for row in rows] == [(64, 32)] * 8
    assert [row.reason for row in rows.rejected] == [
        "no g.txt beside it; write its text there",
        "no image of the name orphan; add it",
    ]
    assert rows.ignored == {".ipynb_checkpoints": 1, "__MACOSX": 1, ".DS_Store": 1, ".tex": 1}


def test_a_text_or_metadata_that_is_a_link_out_of_the_folder_is_rejected(tmp_path):
    (tmp_path / "secret.txt").write_text("root:x:0:0")
    folder = tmp_path / "set"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.png").write_bytes(png())
    (folder / "a.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "b.txt").write_text("y")
    rows = load_split(folder)
    assert rows.texts() == ["y"]
    assert "text 'a.txt' is outside" in rows.rejected[0].reason
    assert load_split(folder, allow_outside=True).texts() == ["root:x:0:0", "y"]
    (tmp_path / "rows.jsonl").write_text('{"file_name": "a.png", "text": "x"}')
    (folder / "metadata.jsonl").symlink_to(tmp_path / "rows.jsonl")
    with pytest.raises(DataError, match=r"file 'metadata.jsonl' is outside"):
        load_split(folder)


@pytest.mark.timeout(60)
def test_a_pipe_is_rejected_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.txt")
    (tmp_path / "b.png").write_bytes(png())
    (tmp_path / "c.png").write_bytes(png())
    (tmp_path / "c.txt").write_text("x")
    (tmp_path / "a.txt").write_text("x")
    rows = load_split(tmp_path)
    assert "not a regular file" in rows.rejected[0].reason
    with pytest.raises(DataError, match="not a regular file"):
        _ = rows[0].image.size
    assert rows[1].image.size == (64, 32)


def test_postscript_is_no_image_whatever_its_name(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n{ } loop\n")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match="not a readable image"):
        load_split(tmp_path)[0].image.load()


def test_ink_of_impossible_size_is_a_rejected_row(tmp_path):
    head, foot = '<ink><annotation type="truth">x</annotation><trace>', "</trace></ink>"
    (tmp_path / "a.inkml").write_text(f"{head}1e308 0, -1e308 5{foot}")
    (tmp_path / "b.inkml").write_text(f"{head}1 2, 3 4{foot}")
    rows = load_split(tmp_path)
    assert (rows.texts(), len(rows.rejected)) == (["x"], 1)


@pytest.mark.parametrize("members", [(".", "a.png"), ("a", "a/b.png")])
def test_odd_members_of_an_archive_are_no_traceback(tmp_path, members):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in members:
            archive.writestr(name, png())
        archive.writestr("rows.csv", "image,text\na.png,x\n")
    (tmp_path / "set.zip").write_bytes(data.getvalue())
    if members[0] == ".":
        assert load_split(tmp_path / "set.zip").texts() == ["x"]
    else:
        with pytest.raises(DataError, match="is a file and a folder in it"):
            load_split(tmp_path / "set.zip")


def test_a_mistyped_folder_is_no_hub_lookup(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"data/nosuch: no such folder in .*/data; check data.path"):
        load_split("data/nosuch")


def test_a_white_formula_on_transparent_ground_is_visible(tmp_path):
    image = Image.new("RGBA", (64, 32), (255, 255, 255, 0))
    image.paste((255, 255, 255, 255), (8, 8, 24, 24))
    (tmp_path / "a.png").write_bytes(encoded(image))
    (tmp_path / "a.txt").write_text("x")
    loaded, ground = load_split(tmp_path)[0].image.load_on_ground()
    assert (ground, loaded.getpixel((0, 0)), loaded.getpixel((10, 10))) == ("black", (0, 0, 0), (255, 255, 255))
