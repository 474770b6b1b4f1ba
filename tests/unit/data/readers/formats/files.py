"""Files that several tests read."""

from tests.unit.data.pictures import png
from texlens.data.load import load_split


def image(path, width=40, height=20):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(width, height))
    return path


def read(path, split="train", **options):
    return [
        (row.id, row.text, row.prompt, row.image.size, row.extra) for row in load_split(path, split=split, **options)
    ]
