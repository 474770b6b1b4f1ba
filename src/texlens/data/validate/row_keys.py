"""By what a row is recognized in another place: its label, its pictures, its look and what is asked about it."""

import hashlib
from typing import NamedTuple

from texlens.data.validate.scan import RowStats


class RowKeys(NamedTuple):
    """`label` and `question` are hashes; `image` is of all the row's pictures, empty where one shows nothing."""

    split: str
    row: int
    label: bytes
    prompt: bytes
    image: bytes
    perceptual_hash: bytes


def row_keys(split: str, row: RowStats) -> RowKeys:
    """White space in the label doesn't count. A row of several images has no look."""
    sample = row.sample
    pixels = [b"" if stats.problem else stats.pixels for stats in row.images]
    label = spaceless(sample.text)
    return RowKeys(
        split,
        row.index,
        _short(label) if label else b"",
        _short(f"{sample.prompt or ''}\0{sample.history or ''}"),
        _short(b"".join(pixels)) if all(pixels) else b"",
        row.images[0].perceptual_hash if len(row.images) == 1 else b"",
    )


def spaceless(text: str) -> str:
    """
    Example:
        spaceless("x ^ 2") -> "x^2"
    """
    return "".join(text.split())


def _short(value: str | bytes) -> bytes:
    data = value if isinstance(value, bytes) else value.encode("utf-8", errors="surrogatepass")
    return hashlib.blake2b(data, digest_size=12).digest()
