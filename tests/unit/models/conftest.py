"""Formula-like images and tiny checkpoints for the tests of this folder."""

import io
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from tests.fixtures.tiny_models import write_tiny_checkpoint
from texlens.data.sample import LazyImage, Sample


def drawn(width: int, height: int, seed: int = 0) -> bytes:
    """A PNG with a few black strokes on white, different for each seed."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for stroke in range(4):
        x = (seed * 37 + stroke * 53) % width
        draw.line([(x, 2), ((x * 3 + seed) % width, height - 3)], fill="black", width=2 + seed % 3)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def samples() -> list[Sample]:
    """Four images of four sizes."""
    sizes = [(120, 40), (64, 64), (200, 30), (90, 70)]
    return [
        Sample(str(row), LazyImage.from_bytes(drawn(*size, seed=row), f"row {row}"), f"truth {row}")
        for row, size in enumerate(sizes)
    ]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """The folder of a tiny Qwen3-VL."""
    return write_tiny_checkpoint(tmp_path / "tiny-qwen3-vl")
