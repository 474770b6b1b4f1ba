import json

import pyarrow.parquet as parquet
import pytest

from texlens.synthesis import RowRecipe, synthesize
from texlens.synthesis import write as module

RECIPE = RowRecipe("screen", seed=2, max_tokens=12)


def table(folder):
    return parquet.read_table(folder / "data").to_pylist()


def test_two_processes_write_what_one_writes(tmp_path):
    single = synthesize(RECIPE, tmp_path / "one", 70)
    two = synthesize(RECIPE, tmp_path / "two", 70, processes=2)

    assert single["kept"] == two["kept"] == 70
    assert single["fingerprint"] == two["fingerprint"]
    assert single["made_by"]["style"] == "screen"
    assert {"image", "text", "id", "domain", "style", "font", "px_per_em", "theme", "seed"} <= set(
        table(tmp_path / "one")[0]
    )


def test_a_killed_run_goes_on_and_ends_with_the_same_rows(tmp_path, monkeypatch):
    whole = synthesize(RECIPE, tmp_path / "whole", 30)
    monkeypatch.setattr(module, "FolderWriter", lambda *a, **k: FolderWriter(*a, **k, shard_rows=10))
    from texlens.data.folder.writer import FolderWriter

    class Killed(BaseException):
        pass

    def kill(done: int) -> None:
        if done == 25:
            raise Killed

    with pytest.raises(Killed):
        synthesize(RECIPE, tmp_path / "killed", 30, on_progress=kill)
    progress = []
    account = synthesize(RECIPE, tmp_path / "killed", 30, on_progress=progress.append)

    assert progress[0] == 21
    assert account["kept"] == whole["kept"] == 30
    assert [row["image"] for row in table(tmp_path / "killed")] == [row["image"] for row in table(tmp_path / "whole")]


def test_rows_that_can_not_be_drawn_are_counted_as_rejected(tmp_path):
    recipe = RowRecipe("printed", "list", labels=("a + b", r"\frac { a"))

    account = synthesize(recipe, tmp_path / "set", 2)

    assert (account["rows_in"], account["kept"], account["rejected"]) == (2, 1, 1)
    (rejected,) = map(json.loads, (tmp_path / "set" / "rejected.jsonl").read_text().splitlines())
    assert rejected["reason"].startswith(r"\frac { a: ")
