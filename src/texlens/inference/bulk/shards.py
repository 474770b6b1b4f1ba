"""A folder's images divided among processes or machines, and their readings brought together. No model is needed here.

An image belongs to a shard by a hash of its name, so that shards stay the same when images are added. While several
processes read into one file, each has a part beside it, `readings.jsonl.part-3-of-16`; a part that a crash left is
merged by the next call, with any number of processes.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from texlens.core.errors import ConfigError
from texlens.inference.bulk.readings_file import ReadingsFile

_PATTERN = re.compile(r"(\d+)/(\d+)")


class Shard(NamedTuple):
    """The `number`-th (from 1) of `count`."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """
        Example:
            Shard.parse("3/16") -> Shard(3, 16)

        Raises:
            ConfigError: not such a text.
        """
        match = _PATTERN.fullmatch(text.strip())
        shard = cls(int(match[1]), int(match[2])) if match else None
        if shard is None or not 1 <= shard.number <= shard.count:
            raise ConfigError(f"--shard {text[:40]!r}: write the number of this part and of all, such as 3/16")
        return shard

    def holds(self, name: str) -> bool:
        """Whether an image of this name is in the shard."""
        digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.number - 1

    def within(self, outer: "Shard | None") -> "Shard":
        """This shard of another one's images."""
        if outer is None:
            return self
        return Shard((self.number - 1) * outer.count + outer.number, self.count * outer.count)

    def part_of(self, output: Path) -> Path:
        """The file of this shard's readings beside the output."""
        return output.with_name(f"{output.name}.part-{self.number}-of-{self.count}")


def parts_of(output: Path) -> list[Path]:
    """Files of shards beside the output, by name."""
    pattern = re.compile(re.escape(output.name) + r"\.part-\d+-of-\d+")
    return sorted(path for path in output.parent.glob(f"{output.name}.part-*") if pattern.fullmatch(path.name))


def merge_parts(file: ReadingsFile) -> int:
    """Appends the readings of all parts beside a file that it does not hold, and removes the parts; how many.

    Raises:
        RunError: another process writes into a part.
        DataError: a line of a part is not a reading.
    """
    merged = 0
    for path in parts_of(file.path):
        with ReadingsFile(path):  # a cut line is removed, and no process may still write
            for row in _lines(path):
                if row["image"] not in file.rows:
                    file.append([row])
                    merged += 1
        path.unlink()
    return merged


def names_in(path: Path) -> set[str]:
    """Images with a complete line in a file that another process may hold; none where there is no file."""
    if not path.exists():
        return set()
    with path.open("rb") as lines:
        return {str(json.loads(line)["image"]) for line in lines if line.endswith(b"\n")}


def _lines(path: Path) -> Iterator[dict]:
    with path.open("rb") as lines:
        for line in lines:
            yield json.loads(line)
