"""What a data format provides: the splits in a path, and a split as a `Source` of rows.

To add a format, write one file in `formats/` with a `DataFormat`, and name it in `registry.FORMATS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from texlens.data.sample import RejectedRow, Sample


class Source(Protocol):
    """The rows of one split, numbered from 0. Texts are in memory; the bytes of an image are read on demand."""

    where: str
    """File, folder or id, for messages."""

    @property
    def rejected(self) -> Mapping[int, RejectedRow]:
        """Rows that can't become a sample, by number."""
        ...

    def __len__(self) -> int: ...

    def id(self, row: int) -> str: ...

    def text(self, row: int) -> str: ...

    def sample(self, row: int) -> Sample: ...


@dataclass(frozen=True)
class ReadOptions:
    """How rows are read, in every format; a format ignores what does not apply to it."""

    subset: str | None = None
    image_column: str = "image"
    text_column: str = "text"
    allow_outside: bool = False
    captions: Literal["all", "one"] = "all"
    """Of several texts of one image (COCO): all as accepted answers, or the first alone."""


@dataclass(frozen=True)
class DataFormat:
    """One way to store rows on disk.

    `recognizes` looks at file names, and at the first row where names are not enough. `splits` lists the splits of a
    path; `open` reads one of them.
    """

    name: str
    recognizes: Callable[[Path], bool]
    splits: Callable[[Path, ReadOptions], Sequence[str]]
    open: Callable[[Path, str, ReadOptions], Source]
