"""`texlens data import`, `convert`, `split`, `mix` and `export` as a user types them."""

import json

import pytest

from tests.unit.cli.data.calling import run
from tests.unit.data.pictures import png
from texlens.core.errors import ConfigError, DataError, TexlensError
from texlens.data.folder.writer import read_folder


def test_convert_names_rejected_rows_and_goes_on(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "rows.csv").write_text("path,latex\na.png,x\ngone.png,y\n")
    output = run("convert", tmp_path / "rows.csv", "-o", tmp_path / "d").stdout
    assert "2 rows in = 1 kept + 1 rejected + 0 merged" in output
    assert "rejected: unreadable image 1; each with its reason in" in output
    assert "rows.csv line 3 (gone.png): no such file" in output


def test_an_image_that_was_added_later_is_read_by_the_next_convert(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "train.csv").write_text("image,text\na.png,x\nb.png,y\n")
    first = run("convert", tmp_path / "train.csv", "-o", tmp_path / "d").stdout
    assert "2 rows in = 1 kept + 1 rejected + 0 merged" in first
    (tmp_path / "b.png").write_bytes(png(40, 20))
    with pytest.raises(TexlensError, match="--overwrite"):
        run("convert", tmp_path / "train.csv", "-o", tmp_path / "d")
    second = run("convert", tmp_path / "train.csv", "-o", tmp_path / "d", "--overwrite").stdout
    assert "2 rows in = 2 kept + 0 rejected + 0 merged" in second
    assert read_folder(tmp_path / "d")["train"].texts() == ["x", "y"]


def test_nothing_that_can_be_kept_is_an_error_and_leaves_nothing(tmp_path):
    (tmp_path / "rows.csv").write_text("path,latex\ngone.png,y\n")
    with pytest.raises(DataError, match=r"no row could be kept; the first: .*gone.png"):
        run("convert", tmp_path / "rows.csv", "-o", tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_split_divides_all_rows_by_label(tmp_path, source):
    out = tmp_path / "divided"
    arguments = ["--train", 0.8, "--validation", 0.1, "--test", 0.1, "--seed", 3]
    statistics = json.loads(run("split", source, *arguments, "-o", out, "--json").stdout)
    assert {name: split["kept"] for name, split in statistics["splits"].items()} == {
        "train": 34,
        "validation": 4,
        "test": 4,
    }
    assert len({text for rows in read_folder(out).values() for text in rows.texts()}) == 42


@pytest.mark.parametrize("to", ["csv", "messages", "conversations", "sharegpt", "llava", "hf"])
def test_export_is_read_back_by_convert(tmp_path, source, to):
    run("export", source, "--to", to, "-o", tmp_path / "out")
    run("convert", tmp_path / "out", "-o", tmp_path / "back")
    back, rows = read_folder(tmp_path / "back"), read_folder(source)
    assert {name: each.texts() for name, each in back.items()} == {name: each.texts() for name, each in rows.items()}
    assert back["test"][1].image.encoded() == rows["test"][1].image.encoded()


def test_export_numbers_the_rows_where_a_prefix_is_given(tmp_path, source):
    run("export", source, "--to", "conversations", "--ids", "identity", "-o", tmp_path / "out")
    rows = json.loads((tmp_path / "out/test.json").read_text())
    assert [row["id"] for row in rows] == [f"identity_{number}" for number in range(1, len(rows) + 1)]
    with pytest.raises(ConfigError, match=r"--ids: hf keeps the rows' ids"):
        run("export", source, "--to", "hf", "--ids", "identity", "-o", tmp_path / "hf")


@pytest.mark.parametrize("command", ["import", "convert", "split", "mix", "export"])
def test_help_teaches_by_example(command):
    assert f"texlens data {command}" in run(command, "--help").stdout


def test_edits_are_exported_and_the_source_stays(tmp_path, source):
    from texlens.data.edits.log import EditLog
    from texlens.data.edits.row_key import RowKeyIndex

    rows = read_folder(source)["train"]
    log = EditLog(tmp_path / "edits.jsonl")
    log.append(RowKeyIndex(rows).key(0), "label", "corrected", who="anna", old=rows.text(0), split="train")
    log.append(RowKeyIndex(rows).key(1), "exclude", "blurred", who="anna", split="train")
    before = rows.texts()
    output = run("export", source, "--edits", tmp_path / "edits.jsonl", "--to", "hf", "-o", tmp_path / "out").stdout
    assert "1 rejected" in output
    assert read_folder(tmp_path / "out")["train"].texts() == ["corrected", *before[2:]]
    assert read_folder(source)["train"].texts() == before
