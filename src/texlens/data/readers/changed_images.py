"""A source whose images are changed before anything else sees them: sizes, contents and pixels are those after it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from texlens.data.readers.protocol import Source
from texlens.data.sample import LazyImage, RejectedRow, Sample

MOST_CACHED_BYTES = 256 << 20


class ChangedImages:
    """A `Source` of the same rows. `change` gives the encoded bytes of an image; they are cached, up to
    `MOST_CACHED_BYTES` in all, since a training asks for an image's size and pixels again and again."""

    def __init__(self, source: Source, change: Callable[[LazyImage], bytes]):
        self.where, self._source, self._change = source.where, source, change
        self._cache: dict[tuple[int, int], bytes] = {}
        self._cached_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def __len__(self) -> int:
        return len(self._source)

    @property
    def rejected(self) -> Mapping[int, RejectedRow]:
        return self._source.rejected

    def id(self, row: int) -> str:
        return self._source.id(row)

    def text(self, row: int) -> str:
        return self._source.text(row)

    def sample(self, row: int) -> Sample:
        sample = self._source.sample(row)
        first, *others = (self._changed(row, number, image) for number, image in enumerate(sample.images))
        return replace(sample, image=first, more_images=tuple(others))

    def _changed(self, row: int, number: int, image: LazyImage) -> LazyImage:
        def read() -> bytes:
            data = self._cache.get((row, number))
            if data is None:
                data = self._change(image)
                if self._cached_bytes + len(data) <= MOST_CACHED_BYTES:
                    self._cache[row, number] = data
                    self._cached_bytes += len(data)
            return data

        return LazyImage(read, image.where, read_name=lambda: image.name, max_pixels=image.max_pixels)
