"""Samples and tiny checkpoints for the tests of this folder."""

from pathlib import Path

import pytest

from tests.fixtures.drawn_images import drawn
from tests.fixtures.tiny_models import write_tiny_checkpoint
from texlens.data.sample import LazyImage, Sample


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
