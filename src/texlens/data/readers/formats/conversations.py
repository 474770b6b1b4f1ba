"""JSON and JSONL of conversations: `{"conversations": [{"role" or "from", "value"}]}` or `{"messages": […]}`.

One or several images, one or several turns. The last user's text, where there is some, becomes the row's prompt, the
turns before it its history, a system message its system. Images are in the users' turns
(`<|vision_start|>a.png<|vision_end|>`, `<img>a.png</img>`, the bare path, or a part of type image), or in the row's
`image` or `images`, in the order of the `<image>` marks. Paths are relative to the JSON file's folder.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from texlens.core.errors import DataError
from texlens.data.readers.protocol import DataFormat, ReadOptions
from texlens.data.readers.rows.image_files import IMAGE_SUFFIXES, image_path
from texlens.data.readers.rows.json_rows import json_source, split_files
from texlens.data.readers.rows.record import Record, RecordSource
from texlens.data.sample import IMAGE_PLACEHOLDER, Turn

ROLES = {"user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant", "system": "system"}
MARKED_IMAGE = re.compile(r"<\|vision_start\|>(.*?)<\|vision_end\|>|<img>(.*?)</img>", re.DOTALL)
PLACEHOLDER = re.compile(r"<\|vision_start\|>\s*<\|image_pad\|>\s*<\|vision_end\|>|<\|image_pad\|>|<image>")
LEADING = re.compile(rf"\s*(?:{re.escape(IMAGE_PLACEHOLDER)}\s*)+")


@dataclass
class ParsedTurn:
    """A turn with its images' places as `<image>`; `names` are the images it names itself."""

    role: str
    text: str
    names: list[str] = field(default_factory=list)


def parse_conversation(row: object, folder: Path, *, allow_outside: bool = False) -> Record:
    """
    Example:
        {"id": 7, "conversations": [
            {"from": "human", "value": "<|vision_start|>img/7.png<|vision_end|>Read"}, {"from": "gpt", "value": "x"}]}
        -> Record("7", (folder / "img/7.png",), "x", prompt="Read")

    Raises:
        DataError: no image, no answer at its end, or turns that don't alternate.
    """
    if not isinstance(row, dict):
        raise DataError(f"a row must be an object, not {type(row).__name__}")
    listed = [_image_name(image) for image in _as_list(row.get("images") or row.get("image"))]
    turns = list(_turns(row, bare_paths=not listed))
    system = "\n".join(turn.text for turn in turns if turn.role == "system")
    talk = [turn for turn in turns if turn.role != "system"]
    _check_order(talk)
    names = [name for turn in talk for name in turn.names] or listed
    if not names:
        raise DataError("0 images; name one in the user's turn or in the row's 'images'")
    _place_images(talk, len(names))
    *before, question, answer = talk
    more_answers, extra = _other_fields(row, answer.text)
    row_id = row.get("id")
    return Record(
        None if row_id is None else str(row_id),
        tuple(image_path(folder, name, allow_outside=allow_outside) for name in names),
        answer.text,
        prompt=question.text or None,
        system=system or None,
        domain=row["domain"] if isinstance(row.get("domain"), str) else None,
        history=tuple(Turn(turn.role, turn.text) for turn in before),
        more_answers=more_answers,
        extra=extra,
    )


def _turns(row: dict, *, bare_paths: bool) -> Iterator[ParsedTurn]:
    """Turns in order; every spelling of roles and keys that data sets use."""
    turns = row.get("conversations", row.get("messages"))
    if not isinstance(turns, list):
        raise DataError("no 'conversations' and no 'messages' list")
    for turn in turns:
        role = turn.get("role", turn.get("from")) if isinstance(turn, dict) else None
        if role not in ROLES:
            raise DataError(f"a turn of role {role!r}; use user, assistant or system")
        content = turn.get("content", turn.get("value"))
        if ROLES[role] == "user":
            yield _user_turn(content, bare_paths)
        else:
            yield ParsedTurn(ROLES[role], "".join(_part_text(part) for part in _as_parts(content)))


def _user_turn(content: object, bare_paths: bool) -> ParsedTurn:
    names: list[str] = []
    pieces: list[str] = []
    for part in _as_parts(content):
        if isinstance(part, dict) and _is_image_part(part):
            names.extend(_image_name(image) for image in _as_list(_image_field(part)))
            pieces.append(IMAGE_PLACEHOLDER)
            continue
        text = PLACEHOLDER.sub(IMAGE_PLACEHOLDER, _part_text(part))
        names.extend(first or second for first, second in MARKED_IMAGE.findall(text))
        pieces.append(MARKED_IMAGE.sub(IMAGE_PLACEHOLDER, text))
    text = "".join(pieces).strip()
    if bare_paths and not names and _is_image_name(text):
        return ParsedTurn("user", IMAGE_PLACEHOLDER, [text])
    return ParsedTurn("user", text, [name.strip() for name in names])


def _check_order(talk: Sequence[ParsedTurn]) -> None:
    answers = sum(turn.role == "assistant" for turn in talk)
    if not answers:
        raise DataError("0 answers; the last turn must be the assistant's")
    if [turn.role for turn in talk] != ["user", "assistant"] * answers:
        raise DataError("turns that don't alternate; a row goes user, assistant, user, assistant")


def _place_images(talk: Sequence[ParsedTurn], count: int) -> None:
    """Marks that only say what goes without saying (all images before the first text) are dropped.

    The mark of a single image that names its file (`COCO: <|vision_start|>a.png<|vision_end|>`) carries the path
    rather than a place; those who write it put the image first.
    """
    users = [turn for turn in talk if turn.role == "user"]
    placeholders = sum(turn.text.count(IMAGE_PLACEHOLDER) for turn in users)
    if placeholders and placeholders != count:
        raise DataError(f"{count} images for {placeholders} {IMAGE_PLACEHOLDER} marks; each image needs one")
    leading = LEADING.match(users[0].text)
    if leading and leading.group().count(IMAGE_PLACEHOLDER) == placeholders:
        users[0].text = users[0].text[leading.end() :].strip("\n")
    elif count == 1 and users[0].names:
        users[0].text = users[0].text.replace(IMAGE_PLACEHOLDER, "").strip()


def _other_fields(row: dict, answer: str) -> tuple[tuple[str, ...], dict]:
    """Further accepted answers, and the fields that are none of the format's own."""
    known = ("conversations", "messages", "images", "image", "id", "domain")
    extra = {name: value for name, value in row.items() if name not in known}
    answers = extra.get("answers")
    if isinstance(answers, list) and answers[:1] == [answer] and all(isinstance(text, str) for text in answers):
        del extra["answers"]
        return tuple(answers[1:]), extra
    return (), extra


def _is_image_part(part: dict) -> bool:
    return part.get("type") in ("image", "image_url") or bool(part.get("image"))


def _image_field(part: dict) -> object:
    """What an image part names; None for a bare `{"type": "image"}`, whose image the row names."""
    return part.get("image") or part.get("image_url") or part.get("path") or part.get("url")


def _image_name(image: object) -> str:
    while isinstance(image, dict):
        image = image.get("path") or image.get("url")
    if not isinstance(image, str):
        raise DataError(f"an image named by {type(image).__name__}, not by a path")
    return image.strip()


def _part_text(part: object) -> str:
    text = part.get("text") if isinstance(part, dict) else part
    if not isinstance(text, str):
        raise DataError(f"a turn holds {type(text).__name__} where its text should be")
    return text


def _is_image_name(text: str) -> bool:
    return "\n" not in text and Path(text).suffix.lower() in IMAGE_SUFFIXES


def _as_parts(content: object) -> list:
    return content if isinstance(content, list) else [content]


def _as_list(value: object) -> list:
    return value if isinstance(value, list) else [] if value is None else [value]


def is_conversation(row: Any) -> bool:
    return isinstance(row, dict) and ("conversations" in row or "messages" in row)


def _recognizes(path: Path) -> bool:
    """Any JSON: this format comes last, and says of a row of another form what is missing."""
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
