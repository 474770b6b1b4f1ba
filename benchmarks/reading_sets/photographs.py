"""Pictures of other things: square cuts of photographs, which a reader of formulas should not claim to read."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image


def cuts(files: Sequence[Path], count: int, seed: str) -> Iterator[Image.Image]:
    """Cuts of a fifth to all of a photograph's width, 120 to 500 pixels wide."""
    rng = random.Random(seed)
    for number in range(count):
        photograph = Image.open(files[number % len(files)]).convert("RGB")
        width = round(photograph.width * rng.uniform(0.2, 1))
        height = min(photograph.height, round(width * rng.uniform(0.25, 1)))
        left, top = rng.randint(0, photograph.width - width), rng.randint(0, photograph.height - height)
        cut = photograph.crop((left, top, left + width, top + height))
        scale = rng.randint(120, 500) / width
        yield cut.resize((max(16, round(width * scale)), max(16, round(height * scale))))
