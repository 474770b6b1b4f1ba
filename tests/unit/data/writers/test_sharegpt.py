"""A row as ShareGPT has it."""

import json
from pathlib import Path

from texlens.data.sample import LazyImage, Sample
from texlens.data.writers.sharegpt import SHAREGPT


def sample(**fields) -> Sample:
    return Sample("7", LazyImage.from_bytes(b"", "a.png"), "x ^ 2", **fields)


def test_a_row_has_the_documented_form():
    row = json.loads(SHAREGPT.line(sample(prompt="Read", system="Be exact."), ["a.png"]))
    assert row["images"] == ["a.png"]
    assert row["conversations"] == [
        {"from": "system", "value": "Be exact."},
        {"from": "human", "value": "<image>Read"},
        {"from": "gpt", "value": "x ^ 2"},
    ]


def test_a_row_is_read_back():
    record = SHAREGPT.read(SHAREGPT.line(sample(prompt="Read"), ["a.png"]), Path("folder"))
    assert (record.id, record.text, record.images) == ("7", "x ^ 2", (Path("folder/a.png"),))
    assert record.prompt in ("Read", "<image>Read")
