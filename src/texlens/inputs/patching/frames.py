"""How a reading process and its patching processes talk: a header in JSON and bytes, each after its length."""

import json
import struct
from typing import IO, Any

LENGTHS = struct.Struct(">QQ")
"""Bytes of the header, and of what follows it."""


def write_frame(sink: IO[bytes], header: dict[str, Any], data: bytes | memoryview) -> None:
    encoded = json.dumps(header).encode()
    sink.write(LENGTHS.pack(len(encoded), len(data)) + encoded)
    sink.write(data)
    sink.flush()


def read_frame(source: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """
    Raises:
        EOFError: the other side has ended.
    """
    header_bytes, data_bytes = LENGTHS.unpack(_read(source, LENGTHS.size))
    return json.loads(_read(source, header_bytes)), _read(source, data_bytes)


def _read(source: IO[bytes], count: int) -> bytes:
    data = source.read(count)
    if len(data) < count:
        raise EOFError
    return data
