"""Rows, fields and files that once passed unseen or stopped an import: each is honored, or rejected with its reason."""

import io
import os
import zipfile

import pytest
from PIL import Image

from tests.unit.data.pictures import encoded, noise, png
from texlens.core.errors import DataError
from texlens.data.load import load_split


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
