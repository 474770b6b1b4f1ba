"""What a format must offer to be written: a row as text, and that text read back."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from texlens.core.errors import DataError
from texlens.data.readers.rows.questions import FIELD as QUESTIONS
from texlens.data.readers.rows.questions import json_questions
from texlens.data.readers.rows.record import Record
from texlens.data.sample import IMAGE_PLACEHOLDER, Sample

OWN_NAMES = ("id", "domain", "answers", "loss_mask", QUESTIONS)
Line = Callable[[Sample, Sequence[str]], str]
"""A row as text; the image files are named relative to the data file's folder."""


@dataclass(frozen=True)
class RowFormat:
    """`<split><suffix>` holds `head`, the rows with `between` them, and `foot`; `read` is the inverse of `line`."""

    name: str
    suffix: str
    line: Line
    read: Callable[[str, Path], Record]
    head: str = ""
    between: str = "\n"
    foot: str = "\n"


def check_round_trip(sample: Sample, files: Sequence[str], read: Record, folder: Path, format: str) -> None:
    """
    Raises:
        DataError: what was written would not come back as the sample is, naming the first thing that differs.
    """
    pairs = {
        "id": (sample.id, read.id),
        "text": (sample.text, read.text),
        "prompt": (sample.prompt, read.prompt),
        "system": (sample.system, read.system),
        "domain": (sample.domain, read.domain),
        "images": ([folder / file for file in files], list(read.images)),
        "earlier turns": (sample.history, read.history),
        "other accepted answers": (sample.more_answers, read.more_answers),
        "further questions": (sample.more_questions, read.more_questions),
        "excluded answers": (sample.is_trained, read.is_trained),
        "pixel budget": ([image.max_pixels for image in sample.images], _budgets(read)),
        "extra": ({name: value for name, value in sample.extra.items() if value is not None}, dict(read.extra)),
    }
    lost = [what for what, (written, back) in pairs.items() if written != back]
    if lost:
        remedy = "export to hf, which holds everything" if format != "csv" else "export to messages or hf"
        raise DataError(
            f"{sample.image.where}: {format} can't hold the row's {lost[0]}; {remedy}, or leave the row out"
        )


def _budgets(read: Record) -> list[int | None]:
    return list(read.max_pixels) or [None] * len(read.images)


def own_fields(sample: Sample) -> dict[str, Any]:
    """What rows of JSON hold beside the conversation.

    Raises:
        DataError: a value that is no JSON.
    """
    fields = {
        "id": sample.id,
        "domain": sample.domain,
        "answers": list(sample.answers) if sample.more_answers else None,
        "loss_mask": None if all(sample.loss_mask) else [int(is_trained) for is_trained in sample.loss_mask],
        QUESTIONS: json_questions(sample.more_questions),
        **{name: value for name, value in sample.extra.items() if name not in OWN_NAMES},
    }
    return {name: value for name, value in fields.items() if value is not None}


def turns(sample: Sample) -> list[tuple[str, str]]:
    """(role, text) of all turns, the system prompt first; a user's text holds `<image>` where each image is."""
    turns: list[tuple[str, str]] = [(turn.role, turn.text) for turn in sample.history]
    turns.append(("user", sample.prompt or ""))
    if not any(IMAGE_PLACEHOLDER in text for role, text in turns if role == "user"):
        first = next(number for number, (role, _) in enumerate(turns) if role == "user")
        turns[first] = ("user", IMAGE_PLACEHOLDER * len(sample.images) + turns[first][1])
    system = [("system", sample.system)] if sample.system is not None else []
    return [*system, *turns, ("assistant", sample.text)]


def json_line(row: dict[str, Any], sample: Sample) -> str:
    """
    Raises:
        DataError: a value that is no JSON.
    """
    try:
        return json.dumps(row, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"{sample.image.where}: {error}; remove it from the row") from error
