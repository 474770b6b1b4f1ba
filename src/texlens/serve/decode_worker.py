"""A process that decodes images for the server, within bounds of memory: `python -m texlens.serve.decode_worker`.

Standard input, for each image: length of the name, name, largest number of pixels, length of the file, file. Standard
output: `o`, width, height and RGB bytes; or `e`, and kind and message with their lengths. Numbers are 8 bytes,
big-endian.
"""

import contextlib
import sys
from typing import BinaryIO

from texlens.core.errors import TOO_LARGE, DataError, one_line
from texlens.data.sample import LazyImage

OK, ERROR = b"o", b"e"
BASE_BYTES = 1 << 30
"""Address space of Python, Pillow and its codecs."""
BYTES_PER_PIXEL = 24
"""Decoded, with alpha, composited and converted, some of them at once."""


def main() -> None:
    """Decode until standard input ends."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    limited = False
    while header := source.read(8):
        name = source.read(int.from_bytes(header, "big")).decode()
        max_pixels = _read_number(source)
        data = source.read(_read_number(source))
        if not limited:
            _limit_memory(BASE_BYTES + BYTES_PER_PIXEL * max_pixels)
            limited = True
        _answer(sink, name, data, max_pixels)
        sink.flush()


def _answer(sink: BinaryIO, name: str, data: bytes, max_pixels: int) -> None:
    try:
        image = LazyImage.from_bytes(data, name)
        width, height = image.size
        if width * height > max_pixels:
            message = f"{name}: {width}x{height} pixels, over the {max_pixels:,} allowed; scale it down"
            raise DataError(message, TOO_LARGE)
        pixels = image.load()
    except DataError as error:
        _write_error(sink, error.kind, one_line(error))
    except MemoryError:
        _write_error(sink, TOO_LARGE, f"{name}: decoding it takes too much memory; scale it down")
    else:
        sink.write(OK + _number(pixels.width) + _number(pixels.height))
        sink.write(pixels.tobytes())


def _write_error(sink: BinaryIO, kind: str, message: str) -> None:
    sink.write(ERROR)
    for part in (kind.encode(), message.encode()):
        sink.write(_number(len(part)) + part)


def _read_number(source: BinaryIO) -> int:
    return int.from_bytes(source.read(8), "big")


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")


def _limit_memory(limit_bytes: int) -> None:
    """Where the system has such limits, that is not on Windows."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))


if __name__ == "__main__":
    main()
