"""Decoding in processes of its own: within time and memory, and never in the way of others."""

import asyncio
import time

import pytest

from tests.fixtures.drawn_images import drawn
from tests.unit.serve.decoders import decoder
from texlens.core.errors import DataError

HANG = "import time; time.sleep(600)"
HANG_ON_HANG = """
import sys, time
import texlens.serve.decode_worker as worker
answer = worker._answer
worker._answer = lambda sink, name, data, limit: time.sleep(600) if data == b"hang" else answer(sink, name, data, limit)
worker.main()
"""


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


def test_worker_that_dies_is_reported():
    images = decoder(script="import sys; sys.exit(3)")
    with pytest.raises(DataError, match="the image can't be decoded"):
        images.decode(drawn(20, 20), "file")
