"""Rows of named fields (JSON objects, lines of a CSV): which field is the image, which the text.

The names that people give them are known; the options `image_column` and `text_column` name others.
"""

import difflib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from texlens.core.errors import DataError
from texlens.data.readers.protocol import ReadOptions
from texlens.data.readers.rows.image_files import image_path
from texlens.data.readers.rows.record import Record

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
PROMPT_FIELDS = ("prompt", "question", "instruction", "query")
ID_FIELDS = ("id", "question_id", "image_id")


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
    return f"no column {column!r} for the {what};{meant} it has {', '.join(names)}; {remedy}"


def record_of_fields(row: Any, folder: Path, options: ReadOptions) -> Record:
    """
    Example:
        {"image_path": "img/7.png", "question": "Read", "answer": "x^2", "level": 3}
        -> Record(None, (folder / "img/7.png",), "x^2", prompt="Read", extra={"level": 3})

    A list of texts is a list of accepted answers, a list of images a row of several.

    Raises:
        DataError: no image or no text, or an image outside the folder.
    """
    if not isinstance(row, dict):
        raise DataError(f"a row must be an object, not {type(row).__name__}")
    image, text = image_field(row, options), text_field(row, options)
    if image is None:
        raise DataError(no_field("image", options.image_column, row))
    if text is None:
        raise DataError(no_field("text", options.text_column, row))
    fields = {name: value for name, value in row.items() if name not in (image, text)}
    row_id = next((fields.pop(name) for name in ID_FIELDS if fields.get(name) is not None), None)
    prompt = next((fields.pop(name) for name in PROMPT_FIELDS if isinstance(fields.get(name), str)), None)
    first, *others = _answers(row[text], text)
    if not others and isinstance(fields.get("answers"), list):
        others = _answers(fields.pop("answers"), "answers")
        others = others[1:] if others[0] == first else others
    return Record(
        None if row_id is None else str(row_id),
        tuple(image_path(folder, name, allow_outside=options.allow_outside) for name in _names(row[image], image)),
        first,
        prompt=prompt or None,
        system=_text(fields, "system"),
        domain=_text(fields, "domain"),
        more_answers=tuple(others),
        extra=fields,
    )


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


def _answers(value: Any, field: str) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(item, str) for item in values):
        kind = type(values[0]).__name__ if values else "an empty list"
        raise DataError(f"{field!r} holds {kind} where the text should be; fill it or remove the row")
    return values


def _text(fields: dict[str, Any], name: str) -> str | None:
    return fields.pop(name) or None if isinstance(fields.get(name), str) else None
