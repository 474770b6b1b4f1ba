"""By what an edit finds its row again: the row's content, so that reordering, splitting and copying change nothing.

A key is `LABEL.IMAGE.COPY`: hashes of the source's own label, of the images and the question, and which of the rows
that are equal in all of this is meant (0 for the first). Only the images of rows whose label an edit names are read.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from texlens.data.fingerprint import FileHashes, image_fingerprint
from texlens.data.sample import Sample


class KeyedRows(Protocol):
    """Rows by number; `Rows` has this form."""

    def __len__(self) -> int: ...

    def text(self, index: int, /) -> str: ...

    def __getitem__(self, index: int, /) -> Sample: ...


class RowKeyIndex:
    """Keys of rows, and the rows of keys. Texts are hashed once, images when they are needed."""

    def __init__(self, rows: KeyedRows):
        self._rows = rows
        self._by_label: dict[str, list[int]] = {}
        self._content: dict[int, str] = {}
        for row in range(len(rows)):
            self._by_label.setdefault(label_key(rows.text(row)), []).append(row)

    def key(self, row: int) -> str:
        return self.keys([row])[0]

    def keys(self, rows: Sequence[int]) -> list[str]:
        """The keys of some rows, a page of them, say."""
        with FileHashes() as hashes:
            return [self._key(row, hashes) for row in rows]

    def find(self, keys: Iterable[str]) -> dict[int, str]:
        """The rows of these keys; a key that no row has is absent."""
        wanted_keys = set(keys)
        labels = dict.fromkeys(key.partition(".")[0] for key in wanted_keys)
        matches: dict[int, str] = {}
        with FileHashes() as hashes:
            for label in labels:
                copies: Counter[str] = Counter()
                for row in self._by_label.get(label, ()):
                    content = self._content_key(row, hashes)
                    key = f"{label}.{content}.{copies[content]}"
                    copies[content] += 1
                    if key in wanted_keys:
                        matches[row] = key
        return matches

    def _key(self, row: int, hashes: FileHashes) -> str:
        label = label_key(self._rows.text(row))
        content = self._content_key(row, hashes)
        equal = self._by_label[label]
        copy = sum(self._content_key(other, hashes) == content for other in equal[: equal.index(row)])
        return f"{label}.{content}.{copy}"

    def _content_key(self, row: int, hashes: FileHashes) -> str:
        if row not in self._content:
            self._content[row] = content_key(self._rows[row], lambda image: image_fingerprint(image, hashes))
        return self._content[row]


def label_key(text: str) -> str:
    return _short(text.encode(errors="surrogatepass"))


def content_key(sample: Sample, fingerprint: Callable = image_fingerprint) -> str:
    """Of the images, the prompt and the turns before it."""
    parts = [fingerprint(image) for image in sample.images]
    question = repr((sample.prompt, [(turn.role, turn.text) for turn in sample.history]))
    return _short("\0".join([*parts, question]).encode(errors="surrogatepass"))


def _short(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=12).hexdigest()
