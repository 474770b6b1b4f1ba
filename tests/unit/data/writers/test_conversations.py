"""A row as the tutorials' conversations has it."""

import json
from pathlib import Path

from texlens.data.sample import LazyImage, Sample
from texlens.data.writers.conversations import CONVERSATIONS


def sample(**fields) -> Sample:
    return Sample("7", LazyImage.from_bytes(b"", "a.png"), "x ^ 2", **fields)


def test_a_row_has_the_documented_form():
    row = json.loads(CONVERSATIONS.line(sample(prompt="Read"), ["a.png"]))
    assert row["conversations"][0] == {"role": "user", "value": "<|vision_start|>a.png<|vision_end|>Read"}
    row = json.loads(CONVERSATIONS.line(sample(), ["a.png"]))
    assert row["conversations"] == [{"role": "user", "value": "a.png"}, {"role": "assistant", "value": "x ^ 2"}]


def test_a_row_is_read_back():
    record = CONVERSATIONS.read(CONVERSATIONS.line(sample(prompt="Read"), ["a.png"]), Path("folder"))
    assert (record.id, record.text, record.images) == ("7", "x ^ 2", (Path("folder/a.png"),))
    assert record.prompt in ("Read", "<image>Read")
