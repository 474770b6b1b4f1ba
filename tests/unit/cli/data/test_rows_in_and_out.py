"""`texlens data import`, `convert`, `split`, `mix` and `export` as a user types them."""

import json

import pytest
from typer.testing import CliRunner

from tests.unit.data.pictures import png
from tests.unit.data.tables import write_splits
from texlens.cli.main import app
from texlens.core.errors import ConfigError, DataError
from texlens.data.folder.writer import read_folder


def run(*arguments):
    return CliRunner().invoke(app, ["data", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def source(tmp_path):
    return write_splits(tmp_path / "source", train=[f"x_{row}" for row in range(40)], test=["y", "z"])


def test_import_prints_statistics_and_reuses_the_folder_the_second_time(tmp_path, source):
    output = run("import", source, "-o", tmp_path / "d").stdout
    assert "42 rows in = 42 kept + 0 rejected + 0 merged\n" in output
    assert "  train: 40 rows in = 40 kept" in output
    assert "merged, as it stood\n" in run("import", source, "-o", tmp_path / "d").stdout


def test_a_limit_takes_the_first_rows_or_draws_them(tmp_path, source):
    statistics = json.loads(run("import", source, "--limit", 3, "-o", tmp_path / "d", "--json").stdout)
    assert (statistics["kept"], statistics["made_by"]["command"]) == (5, "import")
    assert read_folder(tmp_path / "d")["train"].ids() == ["train-0", "train-1", "train-2"]
    run("import", source, "--limit", 3, "--shuffle", "--seed", 1, "-o", tmp_path / "drawn")
    assert read_folder(tmp_path / "drawn")["train"].ids() != ["train-0", "train-1", "train-2"]


def test_one_split_may_be_named(tmp_path, source):
    run("import", source, "--split", "test", "-o", tmp_path / "d")
    assert list(read_folder(tmp_path / "d")) == ["test"]
    with pytest.raises(DataError, match="no split exam; it has test, train"):
        run("import", source, "--split", "exam", "-o", tmp_path / "e")


def test_convert_names_rejected_rows_and_goes_on(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "rows.csv").write_text("path,latex\na.png,x\ngone.png,y\n")
    output = run("convert", tmp_path / "rows.csv", "-o", tmp_path / "d").stdout
    assert "2 rows in = 1 kept + 1 rejected + 0 merged" in output
    assert "rejected: unreadable image 1; each with its reason in" in output
    assert "rows.csv line 3 (gone.png): no such file" in output


def test_nothing_that_can_be_kept_is_an_error_and_leaves_nothing(tmp_path):
    (tmp_path / "rows.csv").write_text("path,latex\ngone.png,y\n")
    with pytest.raises(DataError, match=r"no row could be kept; the first: .*gone.png"):
        run("convert", tmp_path / "rows.csv", "-o", tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_paths_that_leave_the_folder_need_leave(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "in").mkdir()
    (tmp_path / "in/rows.csv").write_text("path,latex\n../a.png,x\n")
    with pytest.raises(DataError, match="is outside"):
        run("convert", tmp_path / "in/rows.csv", "-o", tmp_path / "d")
    assert run("convert", tmp_path / "in/rows.csv", "--allow-outside", "-o", tmp_path / "d").exit_code == 0


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


def test_mix_takes_names_and_shares(tmp_path, source):
    out = tmp_path / "mixed"
    run("mix", f"new={source}:1.0", f"old={source}:.1", "-o", out)
    domains = [row.domain for row in read_folder(out)["train"]]
    assert (domains.count("new"), domains.count("old")) == (40, 4)
    with pytest.raises(ConfigError, match="two sets are called 'source'"):
        run("mix", f"{source}:1", f"{source}:.1", "-o", out)
    with pytest.raises(ConfigError, match=r"no share; write .*:1.0"):
        run("mix", source, "-o", out)


@pytest.mark.parametrize("to", ["csv", "messages", "conversations", "sharegpt", "llava", "hf"])
def test_export_is_read_back_by_convert(tmp_path, source, to):
    run("export", source, "--to", to, "-o", tmp_path / "out")
    run("convert", tmp_path / "out", "-o", tmp_path / "back")
    back, rows = read_folder(tmp_path / "back"), read_folder(source)
    assert {name: each.texts() for name, each in back.items()} == {name: each.texts() for name, each in rows.items()}
    assert back["test"][1].image.encoded() == rows["test"][1].image.encoded()


@pytest.mark.parametrize("command", ["import", "convert", "split", "mix", "export"])
def test_help_teaches_by_example(command):
    assert f"texlens data {command}" in run(command, "--help").stdout
