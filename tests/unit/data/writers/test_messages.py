"""A row as messages of chat templates."""

import json
from pathlib import Path

from texlens.data.sample import LazyImage, Sample
from texlens.data.writers.messages import MESSAGES


def sample(**fields) -> Sample:
    return Sample("7", LazyImage.from_bytes(b"", "a.png"), "x ^ 2", **fields)


def test_a_row_has_the_documented_form():
    row = json.loads(MESSAGES.line(sample(prompt="Read"), ["a.png"]))
    assert row["messages"] == [
        {"role": "user", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "Read"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "x ^ 2"}]},
    ]


def test_a_row_is_read_back():
    record = MESSAGES.read(MESSAGES.line(sample(prompt="Read"), ["a.png"]), Path("folder"))
    assert (record.id, record.text, record.images) == ("7", "x ^ 2", (Path("folder/a.png"),))
    assert record.prompt in ("Read", "<image>Read")
