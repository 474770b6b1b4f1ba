"""Images divided into shards, and parts merged into one file."""

import json

import pytest

from texlens.core.errors import ConfigError, RunError
from texlens.inference.bulk.readings_file import ReadingsFile
from texlens.inference.bulk.shards import Shard, merge_parts, parts_of

NAMES = [f"scans/{number:04}.png" for number in range(400)]


@pytest.mark.parametrize("count", [1, 3, 16])
def test_every_image_is_in_one_shard_and_shards_are_of_like_size(count):
    shards = [Shard(number, count) for number in range(1, count + 1)]
    held = [[name for name in NAMES if shard.holds(name)] for shard in shards]
    assert sorted(name for names in held for name in names) == NAMES
    assert max(map(len, held)) < 2 * len(NAMES) / count + 1


def test_few_numbered_images_are_divided():
    """The last bits of a CRC are the same for 0.png to 7.png: one process would read them all."""
    names = [f"scans/{number}.png" for number in range(8)]
    assert all(any(Shard(number, 2).holds(name) for name in names) for number in (1, 2))


def test_shards_of_a_shard_divide_it():
    outer = Shard(2, 3)
    inner = [Shard(number, 4).within(outer) for number in range(1, 5)]
    assert sorted(name for shard in inner for name in NAMES if shard.holds(name)) == [
        name for name in NAMES if outer.holds(name)
    ]


@pytest.mark.parametrize("text", ["0/4", "5/4", "3", "a/b", "1/0", "-1/4", "1/2/3"])
def test_a_shard_that_means_nothing_is_refused(text):
    with pytest.raises(ConfigError, match="3/16"):
        Shard.parse(text)


def test_parts_are_merged_without_doubles_and_removed(tmp_path):
    output = tmp_path / "out.jsonl"
    output.write_text('{"image": "a", "stop": "end"}\n')
    (tmp_path / "out.jsonl.part-1-of-2").write_text('{"image": "a", "stop": "end"}\n{"image": "b", "stop": "end"}\n')
    (tmp_path / "out.jsonl.part-2-of-2").write_text('{"image": "c", "stop": "loop"}\n{"image": "d"')
    (tmp_path / "out.jsonl.part-x").write_text("not a part")

    with ReadingsFile(output) as file:
        assert merge_parts(file) == 2
        assert set(file.rows) == {"a", "b", "c"}

    assert [json.loads(line)["image"] for line in output.read_text().splitlines()] == ["a", "b", "c"]
    assert parts_of(output) == []
    assert (tmp_path / "out.jsonl.part-x").exists()


def test_a_part_that_another_process_writes_is_left_alone(tmp_path):
    part = Shard(1, 2).part_of(tmp_path / "out.jsonl")
    with ReadingsFile(part), ReadingsFile(tmp_path / "out.jsonl") as file, pytest.raises(RunError, match="another"):
        merge_parts(file)
    assert part.exists()
