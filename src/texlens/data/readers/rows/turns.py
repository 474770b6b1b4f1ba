"""Turns of a conversation as data sets spell them: roles, images in the text, loss flags, pixel budgets.

A field that can't be honored is rejected by name, never ignored.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from texlens.core.errors import DataError
from texlens.data.image_formats import HEIF_SUFFIXES, IMAGE_SUFFIXES
from texlens.data.sample import IMAGE_PLACEHOLDER, Turn

Role = Literal["system", "user", "assistant"]
ROLES: Mapping[str, Role] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "system": "system",
}
MARKED_IMAGE = re.compile(r"<\|vision_start\|>(.*?)<\|vision_end\|>|<img>(.*?)</img>", re.DOTALL)
IMAGE_MARK = re.compile(r"<\|vision_start\|>\s*<\|image_pad\|>\s*<\|vision_end\|>|<\|image_pad\|>|<image>")
OTHER_MEDIA = re.compile(r"<(?:video|audio)>|<\|(?:video|audio)_pad\|>")
TEXT_KEYS = ("role", "from", "content", "value")
LOSS_KEYS = ("loss", "weight", "train")
"""ms-swift, OpenAI and axolotl name the same thing differently."""
BOOKKEEPING = ("id", "index", "timestamp", "type", "text")
IMAGE_KEYS = ("type", "image", "image_url", "path", "url", "bytes", "text", "detail")
SIZE_KEYS = ("resized_height", "resized_width", "max_pixels")
UNSUPPORTED = ("videos", "video", "audios", "audio", "tools", "min_pixels")
"""Fields of a row that would change what is trained on."""


@dataclass
class ParsedTurn:
    """A turn with the positions of its images as `<image>`; `names` are the images it names itself."""

    role: Role
    text: str
    names: list[str] = field(default_factory=list)
    max_pixels: list[int | None] = field(default_factory=list)
    is_trained: bool = True

    def to_turn(self) -> Turn:
        return Turn(self.role, self.text, self.is_trained)


def parse_turns(turns: Sequence[object], *, bare_paths: bool) -> list[ParsedTurn]:
    """
    Example:
        [{"from": "human", "value": "<img>a.png</img>Read"}, {"from": "gpt", "value": "x", "loss": False}]
        -> [ParsedTurn("user", "<image>Read", ["a.png"], [None]), ParsedTurn("assistant", "x", is_trained=False)]

    Args:
        bare_paths: a user's text that is the name of an image file stands for the image.

    Raises:
        DataError: an unknown role, a field that can't be honored, or something other than text.
    """
    return [_turn(turn, bare_paths) for turn in turns]


def parse_history(value: object) -> tuple[Turn, ...]:
    """Earlier turns: pairs of prompt and answer (Alpaca, ms-swift), or turns with roles.

    Example:
        [["Read the left side", "x"]] -> (Turn("user", "Read the left side"), Turn("assistant", "x"))

    Raises:
        DataError: anything else.
    """
    if value in (None, [], ""):
        return ()
    if not isinstance(value, list):
        raise DataError(f"'history' holds {type(value).__name__}, not a list of pairs or turns; correct it")
    if all(isinstance(entry, dict) for entry in value):
        return tuple(turn.to_turn() for turn in parse_turns(value, bare_paths=False))
    if not all(isinstance(entry, list | tuple) and len(entry) == 2 for entry in value):
        raise DataError("'history' must hold pairs of prompt and answer, or turns with roles; correct it")
    texts = [text for pair in value for text in pair]
    if not all(isinstance(text, str) for text in texts):
        raise DataError("'history' holds something other than text; correct it")
    return tuple(Turn("assistant" if number % 2 else "user", text) for number, text in enumerate(texts))


def apply_loss_mask(turns: list[ParsedTurn], mask: object) -> None:
    """Set `is_trained` of the turns from a row's `loss_mask`: a 0 or 1 for each turn, or for each assistant's.

    Raises:
        DataError: another form, or no answer that is trained on.
    """
    answers = [turn for turn in turns if turn.role == "assistant"]
    if mask is not None:
        if not isinstance(mask, list) or len(mask) not in (len(turns), len(answers)):
            raise DataError(f"'loss_mask' must hold 0 or 1 for each of {len(turns)} turns; correct it")
        for turn, value in zip(turns if len(mask) == len(turns) else answers, mask, strict=True):
            is_trained = _flag("loss_mask", value)
            if is_trained and turn.role != "assistant":
                raise DataError(f"'loss_mask' asks for a loss on a {turn.role} turn; only answers are trained on")
            turn.is_trained = turn.is_trained and is_trained
    if answers and not any(turn.is_trained for turn in answers):
        raise DataError("every answer is excluded from the loss; include one, or remove the row")


def check_supported(row: Mapping[str, Any]) -> None:
    """
    Raises:
        DataError: a field that would change the row and can't be honored.
    """
    for name in UNSUPPORTED:
        if row.get(name):
            raise DataError(f"{name!r} is not supported; remove it from the row")


def pixel_budget(fields: Mapping[str, Any]) -> int | None:
    """The most pixels that an image may have: `resized_height` x `resized_width`, else `max_pixels`.

    Raises:
        DataError: one of a pair alone, or no positive integers.
    """
    height, width, most = (fields.get(name) for name in SIZE_KEYS)
    if height is None and width is None:
        return None if most is None else _positive(most)
    return _positive(height) * _positive(width)


def _positive(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 31:
        raise DataError("resized_height and resized_width (or max_pixels) must be positive integers; correct them")
    return value


def check_placeholders(texts: Sequence[str], images: int) -> None:
    """
    Raises:
        DataError: the users' texts have `<image>` placeholders, but not one for each image.
    """
    placeholders = sum(text.count(IMAGE_PLACEHOLDER) for text in texts)
    if placeholders and placeholders != images:
        raise DataError(f"{images} images for {placeholders} {IMAGE_PLACEHOLDER} placeholders; each image needs one")


def image_name(image: object) -> str:
    """
    Raises:
        DataError: not a name, and not an object with one.
    """
    while isinstance(image, dict):
        image = image.get("path") or image.get("url")
    if not isinstance(image, str):
        raise DataError(f"an image named by {type(image).__name__}, not by a path")
    return image.strip()


def as_list(value: object) -> list:
    return value if isinstance(value, list) else [] if value is None else [value]


def _turn(turn: object, bare_paths: bool) -> ParsedTurn:
    name = turn.get("role", turn.get("from")) if isinstance(turn, dict) else None
    if not isinstance(turn, dict) or not isinstance(name, str) or name not in ROLES:
        raise DataError(f"a turn of role {name!r}; use user, assistant or system")
    role = ROLES[name]
    is_trained = _loss_flag(turn, role)
    content = turn.get("content", turn.get("value"))
    if role == "user":
        return _user_turn(content, bare_paths)
    return ParsedTurn(role, "".join(_part_text(part) for part in _as_parts(content)), is_trained=is_trained)


def _loss_flag(turn: Mapping[str, Any], role: Role) -> bool:
    is_trained = True
    for name, value in turn.items():
        if name in LOSS_KEYS and value is not None:
            flag = _flag(name, value)
            if flag and role != "assistant":
                raise DataError(f"{name!r} asks for a loss on a {role} turn; only answers are trained on")
            is_trained = is_trained and flag
        elif name not in (*TEXT_KEYS, *LOSS_KEYS, *BOOKKEEPING) and value not in (None, "", [], {}):
            raise DataError(f"a turn's {name!r} is not supported; remove it")
    return is_trained


def _flag(name: str, value: object) -> bool:
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    raise DataError(f"{name!r} is {value!r}; a turn is trained on (1) or not (0)")


def _user_turn(content: object, bare_paths: bool) -> ParsedTurn:
    names: list[str] = []
    budgets: list[int | None] = []
    pieces: list[str] = []
    for part in _as_parts(content):
        if isinstance(part, dict) and _is_image_part(part):
            _check_image_part(part)
            part_names = [image_name(image) for image in as_list(_image_field(part))]
            names.extend(part_names)
            budgets.extend([pixel_budget(part)] * max(1, len(part_names)))
            pieces.append(IMAGE_PLACEHOLDER)
            continue
        text = IMAGE_MARK.sub(IMAGE_PLACEHOLDER, _part_text(part))
        marked = [first or second for first, second in MARKED_IMAGE.findall(text)]
        names.extend(marked)
        budgets.extend([None] * len(marked))
        pieces.append(MARKED_IMAGE.sub(IMAGE_PLACEHOLDER, text))
    text = "".join(pieces).strip()
    if OTHER_MEDIA.search(text):
        raise DataError("a turn holds a video or audio placeholder; only images are supported")
    if bare_paths and not names and _is_image_name(text):
        return ParsedTurn("user", IMAGE_PLACEHOLDER, [text], [None])
    return ParsedTurn("user", text, [name.strip() for name in names], budgets)


def _check_image_part(part: Mapping[str, Any]) -> None:
    for name, value in part.items():
        if name not in (*IMAGE_KEYS, *SIZE_KEYS) and value not in (None, "", [], {}):
            raise DataError(f"an image's {name!r} is not supported; remove it")


def _is_image_part(part: Mapping[str, Any]) -> bool:
    return part.get("type") in ("image", "image_url") or bool(part.get("image"))


def _image_field(part: Mapping[str, Any]) -> object:
    """What an image part names; None for a bare `{"type": "image"}`, whose image the row names."""
    return part.get("image") or part.get("image_url") or part.get("path") or part.get("url")


def _part_text(part: object) -> str:
    if isinstance(part, dict) and part.get("type") not in (None, "text"):
        raise DataError(f"a part of type {part.get('type')!r} is not supported; remove it")
    text = part.get("text") if isinstance(part, dict) else part
    if not isinstance(text, str):
        raise DataError(f"a turn holds {type(text).__name__} where its text should be")
    return text


def _as_parts(content: object) -> list:
    return content if isinstance(content, list) else [content]


def _is_image_name(text: str) -> bool:
    return "\n" not in text and Path(text).suffix.lower() in IMAGE_SUFFIXES | HEIF_SUFFIXES
