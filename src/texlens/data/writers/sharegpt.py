"""ShareGPT: one JSON list, turns of `from` and `value`, an `<image>` mark for each file of `images`.

{"id": "7", "conversations": [{"from": "human", "value": "<image>Read"}, {"from": "gpt", "value": "x"}],
 "images": ["images/train/7.png"]}
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from texlens.data.readers.formats.conversations import parse_conversation
from texlens.data.readers.rows.record import Record
from texlens.data.sample import Sample
from texlens.data.writers.protocol import RowFormat, json_line, own_fields, turns

NAMES = {"user": "human", "assistant": "gpt", "system": "system"}


def from_value(sample: Sample) -> list[dict[str, Any]]:
    return [{"from": NAMES[role], "value": text} for role, text in turns(sample)]


def read_conversation(text: str, folder: Path) -> Record:
    return parse_conversation(json.loads(text), folder)


def _line(sample: Sample, files: Sequence[str]) -> str:
    return json_line({**own_fields(sample), "conversations": from_value(sample), "images": list(files)}, sample)


SHAREGPT = RowFormat("sharegpt", ".json", _line, read_conversation, head="[\n", between=",\n", foot="\n]\n")
