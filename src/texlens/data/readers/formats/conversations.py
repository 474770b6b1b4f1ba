"""JSON and JSONL of conversations: `{"conversations": [{"role" or "from", "value"}]}` or `{"messages": […]}`.

One or several images, one or several turns. The last user's text, where there is some, becomes the row's prompt and
the turns before it the row's history; a leading system turn or the row's `system` becomes its system prompt. Images are
in the users' turns (`<|vision_start|>a.png<|vision_end|>`, `<img>a.png</img>`, the bare path, or a part of type image),
or in the row's `image` or `images`, in the order of the `<image>` placeholders. Paths are relative to the JSON file's
folder. A turn with `loss: false` or `weight: 0`, or a 0 in the row's `loss_mask`, is not trained on.
Further questions about the same image are in the row's `more_questions` (`rows.questions`).
"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from texlens.core.errors import DataError
from texlens.data.readers.protocol import DataFormat, ReadOptions
from texlens.data.readers.rows.image_files import image_path
from texlens.data.readers.rows.json_rows import json_source, split_files
from texlens.data.readers.rows.questions import FIELD as QUESTIONS
from texlens.data.readers.rows.questions import parse_questions
from texlens.data.readers.rows.record import Record, RecordSource
from texlens.data.readers.rows.turns import (
    SIZE_KEYS,
    UNSUPPORTED,
    ParsedTurn,
    apply_loss_mask,
    as_list,
    check_placeholders,
    check_supported,
    image_name,
    parse_turns,
    pixel_budget,
)
from texlens.data.sample import IMAGE_PLACEHOLDER

LEADING = re.compile(rf"\s*(?:{re.escape(IMAGE_PLACEHOLDER)}\s*)+")
OWN_FIELDS = ("conversations", "messages", "images", "image", "id", "domain", "system", "loss_mask", *SIZE_KEYS)


def parse_conversation(row: object, folder: Path, *, allow_outside: bool = False) -> Record:
    """
    Example:
        {"id": 7, "conversations": [
            {"from": "human", "value": "<|vision_start|>img/7.png<|vision_end|>Read"}, {"from": "gpt", "value": "x"}]}
        -> Record("7", (folder / "img/7.png",), "x", prompt="Read")

    Raises:
        DataError: no image, no answer at its end, turns that don't alternate, or a field that can't be honored.
    """
    if not isinstance(row, dict):
        raise DataError(f"a row must be an object, not {type(row).__name__}")
    check_supported(row)
    listed = [image_name(image) for image in as_list(row.get("images") or row.get("image"))]
    turns = _turns(row, bare_paths=not listed)
    apply_loss_mask(turns, row.get("loss_mask"))
    system, turns = _system(row, turns)
    _check_order(turns)
    names, budgets = _images(row, turns, listed)
    _place_images(turns, len(names))
    *before, prompt, answer = turns
    more_answers, extra = _other_fields(row, answer.text)
    questions = parse_questions(extra.pop(QUESTIONS, None), [turn.to_turn() for turn in before], prompt.text)
    row_id = row.get("id")
    return Record(
        None if row_id is None else str(row_id),
        tuple(image_path(folder, name, allow_outside=allow_outside) for name in names),
        answer.text,
        prompt=prompt.text or None,
        system=system,
        domain=row["domain"] if isinstance(row.get("domain"), str) else None,
        history=tuple(turn.to_turn() for turn in before),
        more_answers=more_answers,
        extra=extra,
        is_trained=answer.is_trained,
        max_pixels=budgets if any(budgets) else (),
        more_questions=questions,
    )


def is_conversation(row: Any) -> bool:
    return isinstance(row, dict) and ("conversations" in row or "messages" in row)


def _turns(row: dict, *, bare_paths: bool) -> list[ParsedTurn]:
    turns = row.get("conversations", row.get("messages"))
    if not isinstance(turns, list):
        raise DataError("no 'conversations' and no 'messages' list")
    return parse_turns(turns, bare_paths=bare_paths)


def _system(row: dict, turns: list[ParsedTurn]) -> tuple[str | None, list[ParsedTurn]]:
    """The row's system prompt and the turns without it; an empty system turn is an empty system prompt."""
    field = row.get("system")
    if field is not None and not isinstance(field, str):
        raise DataError(f"'system' holds {type(field).__name__}, not text; correct it")
    if not turns or turns[0].role != "system":
        return field or None, turns
    if field and field != turns[0].text:
        raise DataError("a system turn and another text in 'system'; keep one of them")
    return turns[0].text, turns[1:]


def _check_order(turns: Sequence[ParsedTurn]) -> None:
    roles = [turn.role for turn in turns if turn.role != "system"]
    answers = roles.count("assistant")
    if not answers or roles[-1:] != ["assistant"]:
        raise DataError(f"{answers} answers; the last turn must be the assistant's")
    if roles != ["user", "assistant"] * answers:
        raise DataError("turns that don't alternate; a row goes user, assistant, user, assistant")
    if [turn.role for turn in turns[-2:]] != ["user", "assistant"]:
        raise DataError("a system turn between the last prompt and its answer; move it before the prompt")


def _images(row: dict, turns: Sequence[ParsedTurn], listed: list[str]) -> tuple[list[str], tuple[int | None, ...]]:
    """Names of the images and the pixel budget of each, which the row or an image's own part sets."""
    names = [name for turn in turns for name in turn.names] or listed
    if not names:
        raise DataError("0 images; name one in the user's turn or in the row's 'images'")
    of_parts = [budget for turn in turns for budget in turn.max_pixels]
    of_row = pixel_budget(row)
    if len(of_parts) != len(names):
        if any(of_parts):
            raise DataError("sizes of some images only; give each image part its own")
        of_parts = [None] * len(names)
    return names, tuple(budget or of_row for budget in of_parts)


def _place_images(turns: Sequence[ParsedTurn], count: int) -> None:
    """Drop placeholders that say nothing: those of all images before the first text.

    The placeholder of a single image that names its file (`COCO: <|vision_start|>a.png<|vision_end|>`) carries the
    path rather than a position; who writes so puts the image first.
    """
    users = [turn for turn in turns if turn.role == "user"]
    check_placeholders([turn.text for turn in users], count)
    placeholders = sum(turn.text.count(IMAGE_PLACEHOLDER) for turn in users)
    leading = LEADING.match(users[0].text)
    if leading and leading.group().count(IMAGE_PLACEHOLDER) == placeholders:
        users[0].text = users[0].text[leading.end() :].strip("\n")
    elif count == 1 and users[0].names:
        users[0].text = users[0].text.replace(IMAGE_PLACEHOLDER, "").strip()


def _other_fields(row: dict, answer: str) -> tuple[tuple[str, ...], dict]:
    """Further accepted answers, and the fields that the format does not know."""
    extra = {name: value for name, value in row.items() if name not in (*OWN_FIELDS, *UNSUPPORTED)}
    answers = extra.get("answers")
    if isinstance(answers, list) and answers[:1] == [answer] and all(isinstance(text, str) for text in answers):
        del extra["answers"]
        return tuple(answers[1:]), extra
    return (), extra


def _recognizes(path: Path) -> bool:
    """Any JSON: this format comes last, and reports what a row of another form lacks."""
    return bool(split_files(path)) if path.is_dir() else path.suffix in (".json", ".jsonl")


def _splits(path: Path, options: ReadOptions) -> list[str]:
    if options.subset is not None:
        raise DataError(f"{path}: conversations have no subsets; remove data.subset")
    return list(split_files(path))


def _open(path: Path, split: str, options: ReadOptions) -> RecordSource:
    file = split_files(path)[split]
    parse = partial(parse_conversation, folder=file.parent, allow_outside=options.allow_outside)
    return json_source(file, split, parse)


CONVERSATIONS = DataFormat("conversations", _recognizes, _splits, _open)
