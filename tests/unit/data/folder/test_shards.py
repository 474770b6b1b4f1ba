import os

import pytest

from tests.unit.data.pictures import png
from texlens.data.folder.writer import FolderWriter, read_folder
from texlens.data.sample import LazyImage, Sample, Turn

A, B = png(8, 8, 1), png(8, 8, 2)


def image(data: bytes, name: str | None = None) -> LazyImage:
    return LazyImage(lambda: data, "here", read_name=lambda: name)


def plain(sample: Sample) -> dict:
    """Everything of a sample as values that can be compared."""
    fields = {name: value for name, value in vars(sample).items() if name not in ("image", "more_images")}
    return fields | {"images": [(image.encoded(), image.name) for image in sample.images]}


RICH = Sample(
    "r",
    image(A, "a.png"),
    "x",
    prompt="And <image>?",
    system="Be short",
    domain="print",
    extra={"level": 3, "weight": 0.5, "made": {"seed": [1, 2]}, "text": "a name that is taken", "good": True},
    more_images=(image(B, "b.png"),),
    history=(Turn("user", "What is <image>?"), Turn("assistant", "y")),
    more_answers=("z",),
)


def test_shards_that_lack_a_later_column_are_given_it(tmp_path):
    plain_row = Sample("p", image(A), "x", extra={"level": 1})
    odd = Sample("o", image(B), "y", extra={"level": "high"})
    with FolderWriter(tmp_path / "d", made_by={}, shard_rows=1) as writer:
        for row in (plain_row, RICH, odd):
            writer.add("train", row)
    assert [path.name for path in sorted((tmp_path / "d/data").iterdir())] == [
        "train-00000-of-00003.parquet",
        "train-00001-of-00003.parquet",
        "train-00002-of-00003.parquet",
    ]
    assert [plain(row) for row in read_folder(tmp_path / "d")["train"]] == [plain(plain_row), plain(RICH), plain(odd)]


def rows(count: int) -> list[Sample]:
    return [Sample(str(number), image(png(8, 8, number)), f"x_{number}") for number in range(count)]


def test_a_kill_while_shards_get_their_final_names_loses_nothing(tmp_path, monkeypatch):
    stopped = FolderWriter(tmp_path / "d", made_by={"n": 1}, shard_rows=1)
    writer = stopped.__enter__()
    for row in (*rows(2), RICH):
        writer.add("train", row)
    renamed = []

    def replace(source, target, replace=os.replace):
        if "-of-" in str(target):
            renamed.append(target)
            if len(renamed) == 2:
                raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as killed:
        killed.setattr("texlens.data.folder.shards.os.replace", replace)
        with pytest.raises(KeyboardInterrupt):
            stopped.__exit__(None)
    with FolderWriter(tmp_path / "d", made_by={"n": 1}, shard_rows=1, resume=True) as writer:
        assert writer.resumed("train") == 3
    assert [plain(row) for row in read_folder(tmp_path / "d")["train"]] == [plain(row) for row in (*rows(2), RICH)]


def test_a_run_of_other_making_does_not_take_up_the_shards(tmp_path):
    stopped = FolderWriter(tmp_path / "d", made_by={"n": 1}, shard_rows=1)
    stopped.__enter__().add("train", rows(1)[0])
    stopped.__exit__(KeyboardInterrupt)
    with FolderWriter(tmp_path / "d", made_by={"n": 2}, resume=True) as writer:
        assert writer.resumed("train") == 0
        writer.add("train", rows(2)[1])
    assert [row.id for row in read_folder(tmp_path / "d")["train"]] == ["1"]
