"""Decoding in processes of its own: within time and memory, and never in the way of others."""

import asyncio
import io
import sys
import time

import pytest
from PIL import Image

from tests.fixtures.drawn_images import drawn
from texlens.core.errors import TOO_LARGE, DataError
from texlens.data.sample import LazyImage
from texlens.serve.image_decoder import ImageDecoder

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n{ } loop\nshowpage"
HANG = "import time; time.sleep(600)"
HANG_ON_HANG = """
import sys, time
import texlens.serve.decode_worker as worker
answer = worker._answer
worker._answer = lambda sink, name, data, limit: time.sleep(600) if data == b"hang" else answer(sink, name, data, limit)
worker.main()
"""


def decoder(*, timeout_s=20.0, processes=2, max_pixels=1_000_000, script=None):
    command = [sys.executable, "-c", script] if script else None
    return ImageDecoder(max_pixels=max_pixels, timeout_s=timeout_s, processes=processes, command=command)


@pytest.fixture(scope="module")
def images():
    decoder_ = decoder()
    yield decoder_
    decoder_.close()


def test_pixels_equal_those_that_are_decoded_here(images):
    for data in (drawn(120, 40), transparent()):
        expected = LazyImage.from_bytes(data, "x").load()
        image = images.decode(data, "x")
        assert image.size == expected.size
        assert image.load().tobytes() == expected.tobytes()


def transparent() -> bytes:
    file = io.BytesIO()
    Image.new("RGBA", (30, 20), (255, 0, 0, 128)).save(file, "WEBP")
    return file.getvalue()


@pytest.mark.parametrize("data", [b"", b"hello", drawn(90, 60)[:100], EPS], ids=["empty", "text", "cut", "eps"])
def test_what_is_no_image_is_refused_with_a_reason(images, data):
    with pytest.raises(DataError, match=r"^file: "):
        images.decode(data, "file")
    assert images.decode(drawn(20, 20), "next").size == (20, 20)


def test_image_over_the_limit_is_too_large(images):
    with pytest.raises(DataError, match="1200x1000 pixels, over the 1,000,000 allowed") as caught:
        images.decode(drawn(1200, 1000), "file")
    assert caught.value.kind == TOO_LARGE


def test_decoder_that_hangs_is_ended_and_the_next_image_is_decoded():
    images = decoder(timeout_s=3.0, script=HANG_ON_HANG)
    try:
        assert images.decode(drawn(20, 20), "warm").size == (20, 20)
        start = time.monotonic()
        with pytest.raises(DataError, match="decoding it took over 3 s"):
            images.decode(b"hang", "file")
        assert time.monotonic() - start < 15
        assert images.decode(drawn(20, 20), "next").size == (20, 20)
    finally:
        images.close()


def test_hanging_decoders_do_not_block_the_event_loop():
    images = decoder(timeout_s=2.0, processes=2, script=HANG)

    async def main() -> float:
        hanging = [asyncio.ensure_future(images.run(b"x", "file", lambda image: image)) for _ in range(2)]
        start = time.monotonic()
        await asyncio.sleep(0.05)
        responsive_s = time.monotonic() - start
        outcomes = await asyncio.gather(*hanging, return_exceptions=True)
        assert all(isinstance(outcome, DataError) for outcome in outcomes)
        return responsive_s

    try:
        assert asyncio.run(main()) < 1
    finally:
        images.close()


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is enforced on Linux alone")
def test_memory_of_a_decoder_is_bounded():
    greedy = """
import texlens.serve.decode_worker as worker
worker.BASE_BYTES = 300 << 20
worker.LazyImage.load = lambda self: bytearray(2 << 30)
worker.main()
"""
    images = decoder(max_pixels=1000, script=greedy)
    try:
        with pytest.raises(DataError, match="takes too much memory"):
            images.decode(drawn(20, 20), "file")
    finally:
        images.close()


def test_worker_that_dies_is_reported():
    images = decoder(script="import sys; sys.exit(3)")
    with pytest.raises(DataError, match="the image can't be decoded"):
        images.decode(drawn(20, 20), "file")
