"""Messages, as chat templates take them, a row a line (JSONL).

{"id": "7", "messages": [
    {"role": "user", "content": [{"type": "image", "image": "images/7.png"}, {"type": "text", "text": "Read"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "x"}]}]}
"""

from collections.abc import Iterator, Sequence
from typing import Any

from texlens.data.sample import IMAGE_PLACEHOLDER, Sample
from texlens.data.writers.protocol import RowFormat, json_line, own_fields, turns
from texlens.data.writers.sharegpt import read_conversation


def _line(sample: Sample, files: Sequence[str]) -> str:
    images = iter([(file, image.max_pixels) for file, image in zip(files, sample.images, strict=True)])
    messages = [{"role": role, "content": _parts(role, text, images)} for role, text in turns(sample)]
    return json_line({**own_fields(sample), "messages": messages}, sample)


def _parts(role: str, text: str, files: Iterator[tuple[str, int | None]]) -> list[dict[str, Any]]:
    if role != "user":
        return [{"type": "text", "text": text}]
    first, *others = text.split(IMAGE_PLACEHOLDER)
    parts: list[dict[str, Any]] = [{"type": "text", "text": first}] if first else []
    for other in others:
        name, budget = next(files, ("", None))
        parts.append({"type": "image", "image": name} | ({"max_pixels": budget} if budget else {}))
        if other:
            parts.append({"type": "text", "text": other})
    return parts


MESSAGES = RowFormat("messages", ".jsonl", _line, read_conversation)
