import json
import os
import signal
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import pytest

from tests.unit.data.pictures import png
from tests.unit.data.sample_factory import values
from tests.unit.data.tables import write_parquet
from texlens.core.errors import ConfigError, DataError
from texlens.data.convert import SplitPart, mix, split_rows, write_parts
from texlens.data.export import export
from texlens.data.folder.statistics import read_statistics
from texlens.data.folder.writer import read_folder
from texlens.data.load import load_split
from texlens.data.writers.registry import WRITERS

ROOT = Path(__file__).parents[3]


def source(folder, texts, images=None):
    return load_split(str(write_parquet(folder / "train.parquet", texts, images)))


def test_a_row_s_pixel_budget_is_kept(tmp_path):
    (tmp_path / "a.png").write_bytes(png(40, 20))
    (tmp_path / "rows.json").write_text(
        json.dumps([{"image": "a.png", "text": "x", "resized_height": 10, "resized_width": 20}])
    )
    write_parts(tmp_path / "out", [SplitPart("train", load_split(str(tmp_path / "rows.json")))], {})
    assert load_split(str(tmp_path / "out"))[0].image.max_pixels == 200


def test_rows_are_written_once_and_a_second_run_finds_them_there(tmp_path):
    rows = source(tmp_path / "a", ["x", "y"])
    first = write_parts(tmp_path / "d", [SplitPart("train", rows)], {"command": "t"})
    again = write_parts(tmp_path / "d", [SplitPart("train", rows)], {"command": "t"})
    assert (first[1], again[1], first[0]) == (False, True, again[0])
    changed = source(tmp_path / "a", ["x", "z"])
    with pytest.raises(DataError, match="--overwrite"):
        write_parts(tmp_path / "d", [SplitPart("train", changed)], {"command": "t"})
    write_parts(tmp_path / "d", [SplitPart("train", changed)], {"command": "t"}, overwrite=True)
    assert read_folder(tmp_path / "d")["train"].texts() == ["x", "z"]


def test_bad_images_are_rejected_with_their_row_and_the_rest_goes_on(tmp_path):
    whole = png(64, 32)
    head = whole[12:16] + (60_000).to_bytes(4, "big") * 2 + whole[24:29]
    bomb = whole[:12] + head + zlib.crc32(head).to_bytes(4, "big") + whole[33:]
    rows = source(tmp_path / "a", ["x"] * 5, [whole, whole[:200], b"", b"no image", bomb])
    statistics, _ = write_parts(tmp_path / "d", [SplitPart("train", rows)], {})
    assert (statistics["rows_in"], statistics["kept"], statistics["rejected"]) == (5, 1, 4)
    rejected = [json.loads(line) for line in (tmp_path / "d/rejected.jsonl").read_text().splitlines()]
    assert [line["where"].rsplit("/", 1)[1] for line in rejected] == [f"train.parquet row {row}" for row in range(1, 5)]
    for line, reason in zip(rejected, ["ends after", "0 bytes", "not a readable image", "over the limit"], strict=True):
        assert reason in line["reason"]


def test_decoding_finds_what_the_header_does_not_show(tmp_path):
    torn = png(64, 32).replace(b"IDAT", b"IDAX", 1)
    rows = source(tmp_path / "a", ["x", "y"], [png(), torn])
    assert write_parts(tmp_path / "d", [SplitPart("train", rows)], {}, decode=True)[0]["rejected"] == 1


def test_division_by_label_and_image_keeps_both_in_one_split(tmp_path):
    pictures = [png(16, 16, seed % 7) for seed in range(40)]
    texts = [f"x_{row % 11}" for row in range(40)]
    rows = {"train": source(tmp_path / "a", texts, pictures)}
    shares = {"train": 0.6, "validation": 0.2, "test": 0.2}
    with pytest.raises(DataError, match="1 groups of rows that belong together"):
        split_rows(rows, shares, by=["label", "image"], seed=0, on_row=lambda _: None)
    parts = split_rows(rows, shares, by=["image"], seed=0, on_row=lambda _: None)
    statistics, _ = write_parts(tmp_path / "d", parts, {})
    assert statistics["kept"] == 40
    contents = [{row.image.encoded() for row in rows} for rows in read_folder(tmp_path / "d").values()]
    assert len(contents) == 3
    assert sum(map(len, contents)) == len(set().union(*contents)) == 7


def test_shares_that_do_not_come_to_one_are_rejected(tmp_path):
    with pytest.raises(ConfigError, match=r"shares of 0.9; .* must come to 1"):
        split_rows({}, {"train": 0.8, "test": 0.1}, by=["row"], seed=0, on_row=lambda _: None)


def test_ids_that_two_old_splits_share_are_distinguished(tmp_path):
    for split in ("train", "test"):
        write_parquet(tmp_path / "a" / f"{split}.parquet", [split], id=["1"])
    splits = {name: load_split(str(tmp_path / "a"), split=name) for name in ("train", "test")}
    parts = split_rows(splits, {"train": 1.0}, by=["label"], seed=0, on_row=lambda _: None)
    write_parts(tmp_path / "d", parts, {})
    assert read_folder(tmp_path / "d")["train"].ids() == ["train/1", "test/1"]


def test_a_mixture_draws_train_rows_and_names_the_source(tmp_path):
    new = {"train": source(tmp_path / "a", [f"x_{row}" for row in range(10)])}
    old = {"train": source(tmp_path / "b", [f"y_{row}" for row in range(100)])}
    write_parts(tmp_path / "d", mix({"new": (new, 1.0), "old": (old, 0.1)}, seed=0), {})
    read = list(read_folder(tmp_path / "d")["train"])
    assert [row.domain for row in read] == ["new"] * 10 + ["old"] * 10
    assert read[0].id == "new/train-0"
    with pytest.raises(ConfigError, match="old:2: a share is"):
        mix({"old": (old, 2.0)}, seed=0)


KILLED = """
    import os, signal, sys
    from texlens.data.folder import writer
    from texlens.data.load import load_split
    from texlens.data.convert import SplitPart, write_parts
    seen = 0
    def on_row(count):
        global seen
        seen += count
        if seen == 10:
            os.kill(os.getpid(), signal.SIGKILL)
    rows = load_split(sys.argv[1])
    if sys.argv[3] == "folder":
        writer.FolderWriter.__init__.__kwdefaults__["shard_rows"] = 4
        write_parts(sys.argv[2], [SplitPart("train", rows)], {}, on_row=on_row)
    else:
        from texlens.data import export
        from texlens.data.writers.registry import WRITERS
        export.JOURNAL_ROWS = 4
        export.export({"train": rows}, sys.argv[2], WRITERS["sharegpt"], {}, on_row=on_row)
"""


@pytest.mark.parametrize("what", ["folder", "export"])
def test_what_was_killed_is_no_data_set_and_goes_on_to_the_same_end(tmp_path, what):
    rows = source(tmp_path / "a", [f"x_{row}" for row in range(20)])
    arguments = [str(tmp_path / "a" / "train.parquet"), str(tmp_path / "d"), what]
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), *arguments], cwd=ROOT, timeout=300)
    assert killed.returncode == -signal.SIGKILL
    assert sorted(set(os.listdir(tmp_path)) - {".d.lock"}) == [".d.partial", "a"]
    result = (
        (lambda folder: write_parts(folder, [SplitPart("train", rows)], {}))
        if what == "folder"
        else (lambda folder: export({"train": rows}, folder, WRITERS["sharegpt"], {}))
    )
    statistics, _ = result(tmp_path / "d")
    result(tmp_path / "straight")
    assert statistics["rows_in"] == statistics["kept"] == 20
    resumed, straight = (load_split(str(tmp_path / name)) for name in ("d", "straight"))
    assert [values(row) for row in resumed] == [values(row) for row in straight]
    assert read_statistics(tmp_path / "d") == statistics or what == "export"
    assert sorted(os.listdir(tmp_path)) == ["a", "d", "straight"]
