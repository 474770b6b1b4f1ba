"""Images and clients that go wrong."""

import io
import struct
import time
import zlib

import httpx
from PIL import Image

from tests.unit.serve.conftest import IMAGE, read


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def bomb() -> bytes:
    """A PNG of a few hundred bytes whose header claims 10 billion pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def blank(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()


def test_hostile_images_are_refused_and_the_next_one_is_read(http):
    assert code(read(http, b"hello")) == (400, "bad_image")
    assert code(read(http, IMAGE[:60])) == (400, "bad_image")
    assert code(read(http, bomb())) == (413, "too_large")
    assert code(read(http, blank(1001, 1000))) == (413, "too_large")
    assert code(read(http, blank(2100, 10))) == (400, "bad_image")
    assert code(read(http, b"\0" * 3_000_000)) == (413, "too_large")

    assert read(http).status_code == 200


def test_client_that_leaves_during_a_stream_leaves_the_batch(scheduler, url):
    with httpx.Client(base_url=url, timeout=300) as http:
        fields = {"stream": "true", "max_tokens": "3500"}
        with http.stream("POST", "/v1/read", files={"file": IMAGE}, data=fields) as answer:
            next(answer.iter_lines())
    until = time.monotonic() + 300
    while scheduler.running and time.monotonic() < until:
        time.sleep(0.02)

    assert scheduler.running == 0
    assert 'texlens_readings_total{outcome="cancelled"}' in httpx.get(f"{url}/metrics").text
