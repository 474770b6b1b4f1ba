"""A patching process's answers, and its conversation over pipes."""

import io
from dataclasses import asdict

import numpy as np

from tests.fixtures.drawn_images import drawn
from texlens.data.geometry import ImageGeometry
from texlens.data.lazy_image import LazyImage
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.inputs.patching.frames import read_frame, write_frame
from texlens.inputs.patching.worker import answer

GEOMETRY = ImageGeometry(patch_size=4, merge_size=2, min_pixels=64)
HEADER = {"where": "a.png", "max_pixels": None, "geometry": asdict(GEOMETRY)}


def test_patches_are_those_of_the_image():
    data = drawn(60, 30, seed=1)
    header, patches = answer(HEADER, data)
    expected, grid = image_to_raw_patches(LazyImage(lambda: data, "a.png").load(), GEOMETRY)
    assert header == {"grid": grid, "shape": expected.shape}
    assert bytes(patches) == expected.tobytes()
    assert np.frombuffer(patches, np.uint8).reshape(expected.shape).shape == expected.shape


def test_an_image_that_is_none_is_an_error():
    header, patches = answer(HEADER, b"GIF")
    assert "a.png" in header["error"]
    assert not patches


def test_frames_are_read_as_they_were_written():
    pipe = io.BytesIO()
    write_frame(pipe, {"a": 1}, b"bytes")
    pipe.seek(0)
    assert read_frame(pipe) == ({"a": 1}, b"bytes")
