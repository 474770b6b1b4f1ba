"""Rows of named fields (JSON objects, lines of a CSV): which field is the image, which the text, which the prompt.

The usual names are known; the options `image_column` and `text_column` name others.
"""

import difflib
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from texlens.core.errors import DataError
from texlens.data.readers.protocol import ReadOptions
from texlens.data.readers.rows.image_files import image_path
from texlens.data.readers.rows.questions import FIELD as QUESTIONS
from texlens.data.readers.rows.questions import parse_questions
from texlens.data.readers.rows.record import Record
from texlens.data.readers.rows.turns import (
    SIZE_KEYS,
    ParsedTurn,
    apply_loss_mask,
    check_placeholders,
    check_supported,
    parse_history,
    pixel_budget,
)
from texlens.data.sample import IMAGE_PLACEHOLDER, Turn

IMAGE_FIELDS = ("image", "images", "image_path", "file_name", "filename", "image_file", "img", "img_path", "path")
TEXT_FIELDS = (
    "text",
    "answer",
    "answers",
    "latex",
    "formula",
    "label",
    "caption",
    "captions",
    "output",
    "response",
    "ground_truth",
)
PROMPT_FIELDS = ("instruction", "prompt", "question", "query", "input")
"""A row's prompt is all of these joined by line feeds: `instruction` before `input` (Alpaca), `prompt` before `query`
(LLaMA-Factory), others in the row's order."""
SECOND_PROMPT_FIELDS = ("query", "input")
ID_FIELDS = ("id", "question_id", "image_id")
LEADING = re.compile(rf"\s*(?:{re.escape(IMAGE_PLACEHOLDER)}\s*)+")


def image_field(names: Collection[str], options: ReadOptions) -> str | None:
    """The field of the image among these, None where there is none."""
    return _chosen(names, IMAGE_FIELDS, options.image_column, "image")


def text_field(names: Collection[str], options: ReadOptions) -> str | None:
    return _chosen(names, TEXT_FIELDS, options.text_column, "text")


def no_field(what: str, column: str, names: Collection[str]) -> str:
    """Why a file has no such column, with the names that are near.

    Example:
        no_field("text", "label", ["labels", "path"]) -> "no column 'label' for the text; did you mean labels? it has …"
    """
    known = (column, *(IMAGE_FIELDS if what == "image" else TEXT_FIELDS)) if column in ("image", "text") else (column,)
    near = [name for name in names if difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)]
    meant = f" did you mean {' or '.join(near)}?" if near else ""
    remedy = f"name one with texlens data convert --{'image' if what == 'image' else 'text'}-column"
    return f"no column {column!r} for the {what};{meant} it has {', '.join(map(str, names))}; {remedy}"


def record_of_fields(row: Any, folder: Path, options: ReadOptions) -> Record:
    """
    Example:
        {"image_path": "img/7.png", "question": "Read", "answer": "x^2", "level": 3}
        -> Record(None, (folder / "img/7.png",), "x^2", prompt="Read", extra={"level": 3})

    A list of texts is a list of accepted answers, a list of images a row of several.

    Raises:
        DataError: no image or no text, an image outside the folder, or a field that can't be honored.
    """
    if not isinstance(row, dict):
        raise DataError(f"a row must be an object, not {type(row).__name__}")
    image, text = image_field(row, options), text_field(row, options)
    if image is None:
        raise DataError(no_field("image", options.image_column, row))
    if text is None:
        raise DataError(no_field("text", options.text_column, row))
    check_supported(row)
    names = _names(row[image], image)
    fields = {name: value for name, value in row.items() if name not in (image, text, *SIZE_KEYS)}
    row_id = next((fields.pop(name) for name in ID_FIELDS if fields.get(name) is not None), None)
    first, others = _all_answers(row[text], text, fields)
    history, is_trained = _history(fields, first)
    prompt = joined_prompt(fields) or ""
    check_placeholders([turn.text for turn in history if turn.role == "user"] + [prompt], len(names))
    prompt, history = _without_leading(prompt, history)
    questions = parse_questions(fields.pop(QUESTIONS, None), history, prompt)
    budget = pixel_budget(row)
    return Record(
        None if row_id is None else str(row_id),
        tuple(image_path(folder, name, allow_outside=options.allow_outside) for name in names),
        first,
        prompt=prompt or None,
        system=_text(fields, "system"),
        domain=_text(fields, "domain"),
        history=history,
        more_answers=tuple(others),
        extra=fields,
        is_trained=is_trained,
        max_pixels=(budget,) * len(names) if budget else (),
        more_questions=questions,
    )


def joined_prompt(fields: dict[str, Any]) -> str | None:
    r"""The texts of all prompt fields, which are removed from `fields`; None where there is none.

    Example:
        {"instruction": "Read the formula.", "input": "Only the left side."} -> "Read the formula.\nOnly the left side."
    """
    names = [name for name in fields if name in PROMPT_FIELDS and isinstance(fields[name], str)]
    names.sort(key=lambda name: name in SECOND_PROMPT_FIELDS)
    return "\n".join(text for text in [fields.pop(name) for name in names] if text) or None


def _history(fields: dict[str, Any], answer: str) -> tuple[tuple[Turn, ...], bool]:
    """Earlier turns, and whether the answer is trained on, from the fields `history` and `loss_mask`."""
    history = parse_history(fields.pop("history", None))
    mask = fields.pop("loss_mask", None)
    if mask is None and all(turn.is_trained for turn in history):
        return history, True
    turns = [ParsedTurn(turn.role, turn.text, is_trained=turn.is_trained) for turn in history]
    turns += [ParsedTurn("user", ""), ParsedTurn("assistant", answer)]
    apply_loss_mask(turns, mask)
    return tuple(turn.to_turn() for turn in turns[:-2]), turns[-1].is_trained


def _without_leading(prompt: str, history: tuple[Turn, ...]) -> tuple[str, tuple[Turn, ...]]:
    """Drop placeholders of all images before the first text, which say nothing."""
    texts = [turn.text for turn in history if turn.role == "user"] + [prompt]
    leading = LEADING.match(texts[0])
    if not leading or leading.group().count(IMAGE_PLACEHOLDER) != sum(t.count(IMAGE_PLACEHOLDER) for t in texts):
        return prompt, history
    text = texts[0][leading.end() :].strip("\n")
    if len(texts) == 1:
        return text, history
    first = next(number for number, turn in enumerate(history) if turn.role == "user")
    return prompt, (*history[:first], Turn("user", text), *history[first + 1 :])


def _chosen(names: Collection[str], known: tuple[str, ...], requested: str, default: str) -> str | None:
    if requested != default:
        return requested if requested in names else None
    return next((name for name in known if name in names), None)


def _names(value: Any, field: str) -> list[str]:
    values = value if isinstance(value, list) else [value]
    named = [item.get("path") if isinstance(item, dict) else item for item in values]
    names = [item.strip() for item in named if isinstance(item, str) and item.strip()]
    if not names or len(names) != len(values):
        raise DataError(f"{field!r} names no image file; fill it or remove the row")
    return names


def _all_answers(value: Any, field: str, fields: dict[str, Any]) -> tuple[str, list[str]]:
    """The answer, and others that are accepted, from the text's field or from `answers` beside it."""
    first, *others = _answers(value, field)
    if not others and isinstance(fields.get("answers"), list):
        others = _answers(fields.pop("answers"), "answers")
        others = others[1:] if others[0] == first else others
    return first, others


def _answers(value: Any, field: str) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(item, str) for item in values):
        kind = type(values[0]).__name__ if values else "an empty list"
        raise DataError(f"{field!r} holds {kind} where the text should be; fill it or remove the row")
    return values


def _text(fields: dict[str, Any], name: str) -> str | None:
    return fields.pop(name) or None if isinstance(fields.get(name), str) else None
