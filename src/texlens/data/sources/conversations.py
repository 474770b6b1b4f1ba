"""JSON and JSONL of conversations: `{"conversations": [{"role" or "from", "value"}]}` or `{"messages": […]}`.

One image and one answer a row. The user's text, where there is some, becomes the row's prompt; a system message its
system. The image stands in the user's turn (`<|vision_start|>a.png<|vision_end|>`, `<img>a.png</img>`, the bare path,
or a part of type image), or in the row's `image` or `images`. Paths are relative to the JSON file's folder.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from texlens.core.errors import DataError
from texlens.data.sample import LazyImage, Refusal, Sample
from texlens.data.sources.images import IMAGE_SUFFIXES, image_path
from texlens.data.sources.layout import SPLIT_NAMES
from texlens.data.sources.protocol import Format, ReadOptions
from texlens.data.sources.table import unique_ids

MAX_JSON_BYTES = 512 << 20
"""A JSON array is read whole; larger files must be JSONL, which is read line by line."""
ROLES = {"user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant", "system": "system"}
MARKED_IMAGE = re.compile(r"<\|vision_start\|>(.*?)<\|vision_end\|>|<img>(.*?)</img>", re.DOTALL)
PLACEHOLDER = re.compile(r"<\|vision_start\|>\s*<\|image_pad\|>\s*<\|vision_end\|>|<\|image_pad\|>|<image>")


@dataclass(frozen=True, slots=True)
class Conversation:
    """A row as read; `id` is None where it names none."""

    id: str | None
    image: Path
    text: str
    prompt: str | None
    system: str | None


class ConversationSource:
    """A `Source` of one JSON or JSONL file."""

    def __init__(self, path: Path, split: str, *, allow_outside: bool = False):
        self.where = str(path)
        self.refusals: dict[int, Refusal] = {}
        self._split = split
        self._rows: list[Conversation | None] = []
        self._places: list[str] = []
        digest = hashlib.sha256()
        for place, row in _read(path, digest):
            self._add(place, row, path.parent, allow_outside)
        self.identity = digest.hexdigest()
        if not self._rows:
            raise DataError(f"{path}: no row in it; check data.path")
        given = [row.id if row else None for row in self._rows]
        self._ids = unique_ids([given[i] or f"{split}-{i}" for i in range(len(given))], self.where) or []

    def __len__(self) -> int:
        return len(self._rows)

    def id(self, row: int) -> str:
        return self._ids[row]

    def text(self, row: int) -> str:
        read = self._rows[row]
        return read.text if read else ""

    def sample(self, row: int) -> Sample:
        read = self._rows[row]
        if read is None:
            raise DataError(str(self.refusals[row]))
        place = f"{self.where} {self._places[row]} ({read.image.name})"
        return Sample(
            self._ids[row],
            LazyImage(read.image.read_bytes, place, read.image),
            read.text,
            prompt=read.prompt,
            system=read.system,
        )

    def _add(self, place: str, row: Any, folder: Path, allow_outside: bool) -> None:
        number = len(self._rows)
        self._places.append(place)
        try:
            if isinstance(row, DataError):
                raise row
            self._rows.append(parse_conversation(row, folder, allow_outside=allow_outside))
        except DataError as error:
            self._rows.append(None)
            self.refusals[number] = Refusal(f"{self._split}-{number}", f"{self.where} {place}", str(error), "row form")


def parse_conversation(row: object, folder: Path, *, allow_outside: bool = False) -> Conversation:
    """
    Example:
        {"id": 7, "conversations": [
            {"from": "human", "value": "<|vision_start|>img/7.png<|vision_end|>Read"}, {"from": "gpt", "value": "x"}]}
        -> Conversation("7", folder / "img/7.png", "x", "Read", None)

    Raises:
        DataError: not one image and one answer.
    """
    if not isinstance(row, dict):
        raise DataError(f"a row must be an object, not {type(row).__name__}")
    turns = list(_turns(row))
    asked, images = _user_turn([content for role, content in turns if role == "user"])
    images = images or _as_list(row.get("images") or row.get("image"))
    if not images and _is_image_name(asked):
        images, asked = [asked.strip()], ""
    if len(images) != 1:
        raise DataError(f"{len(images)} images; a row has exactly 1")
    answers = [_text_of(content) for role, content in turns if role == "assistant"]
    if len(answers) != 1:
        raise DataError(f"{len(answers)} answers; a row has exactly 1, divide longer conversations")
    system = "\n".join(_text_of(content) for role, content in turns if role == "system")
    path = image_path(folder, _image_name(images[0]), allow_outside=allow_outside)
    given = row.get("id")
    return Conversation(None if given is None else str(given), path, answers[0], asked.strip() or None, system or None)


def _turns(row: dict) -> Iterator[tuple[str, object]]:
    """(role, content) in order; every spelling of roles and keys that data sets use."""
    turns = row.get("conversations", row.get("messages"))
    if not isinstance(turns, list):
        raise DataError("no 'conversations' and no 'messages' list")
    for turn in turns:
        said = turn.get("role", turn.get("from")) if isinstance(turn, dict) else None
        if said not in ROLES:
            raise DataError(f"a turn of role {said!r}; use user, assistant or system")
        yield ROLES[said], turn.get("content", turn.get("value"))


def _user_turn(contents: Sequence[object]) -> tuple[str, list]:
    """The question and the images in it."""
    if len(contents) != 1:
        raise DataError(f"{len(contents)} questions; a row has exactly 1, divide longer conversations")
    content = contents[0]
    parts = content if isinstance(content, list) else [content]
    images = [part for part in parts if isinstance(part, dict) and _is_image_part(part)]
    text = "".join(_part_text(part) for part in parts if part not in images)
    text = PLACEHOLDER.sub("", text)
    named = [first or second for first, second in MARKED_IMAGE.findall(text)]
    return MARKED_IMAGE.sub("", text).strip("\n"), [name for name in map(_image_field, images) if name] + named


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


def _text_of(content: object) -> str:
    if isinstance(content, list):
        return "".join(_part_text(part) for part in content)
    return _part_text(content)


def _part_text(part: object) -> str:
    text = part.get("text") if isinstance(part, dict) else part
    if not isinstance(text, str):
        raise DataError(f"a turn holds {type(text).__name__} where its text should be")
    return text


def _is_image_name(text: str) -> bool:
    return "\n" not in text.strip() and Path(text.strip()).suffix.lower() in IMAGE_SUFFIXES


def _as_list(value: object) -> list:
    return value if isinstance(value, list) else [] if value is None else [value]


def _read(path: Path, digest: "hashlib._Hash") -> Iterator[tuple[str, Any]]:
    """(place, row or the `DataError` why it is none) of each row of a file."""
    yield from _read_lines(path, digest) if path.suffix == ".jsonl" else _read_array(path, digest)


def _read_lines(path: Path, digest: "hashlib._Hash") -> Iterator[tuple[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            digest.update(line)
            if number == 1:
                _refuse_utf16(path, line)
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield f"line {number}", _parse_line(line.rstrip())


def _parse_line(line: bytes) -> object:
    try:
        return json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return DataError(
            f"byte {error.start + 1} of the line is 0x{line[error.start]:02x}, not UTF-8; save it as UTF-8"
        )
    except json.JSONDecodeError as error:
        return DataError(f"not JSON at character {error.pos + 1} ({error.msg})")
    except RecursionError:
        return DataError("not JSON of sane depth")


def _read_array(path: Path, digest: "hashlib._Hash") -> Iterator[tuple[str, Any]]:
    size = path.stat().st_size
    if size > MAX_JSON_BYTES:
        raise DataError(
            f"{path}: {size >> 20} MiB of JSON, over {MAX_JSON_BYTES >> 20}; save it as .jsonl, a row a line"
        )
    data = path.read_bytes()
    digest.update(data)
    _refuse_utf16(path, data)
    try:
        rows = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = f"byte {error.start + 1} of the file is 0x{data[error.start]:02x}"
        raise DataError(f"{path} line {line}: {byte}, not UTF-8; save it as UTF-8") from error
    except json.JSONDecodeError as error:
        where = f"{path} line {error.lineno} column {error.colno}"
        remedy = "mend it, or name it .jsonl if it holds a row a line"
        raise DataError(f"{where}: not JSON ({error.msg}); {remedy}") from error
    except RecursionError as error:
        raise DataError(f"{path}: not JSON of sane depth; mend the file") from error
    if not isinstance(rows, list):
        raise DataError(f"{path}: must hold a list of rows, not {type(rows).__name__}")
    for number, row in enumerate(rows):
        yield f"row {number}", row


def _refuse_utf16(path: Path, data: bytes) -> None:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{path}: byte 1 is 0x{data[0]:02x}: it is UTF-16; save it as UTF-8")


def _files(path: Path) -> dict[str, Path]:
    """The file of each split: named after it, or the only one there is, which is then `train`."""
    if path.is_file():
        return {path.stem if path.stem in SPLIT_NAMES else "train": path}
    files = sorted([*path.glob("*.json"), *path.glob("*.jsonl")])
    named = {file.stem: file for file in files if file.stem in SPLIT_NAMES}
    return named or ({"train": files[0]} if len(files) == 1 else {})


def _recognises(path: Path) -> bool:
    return path.suffix in (".json", ".jsonl") if path.is_file() else bool(_files(path))


def _splits(path: Path, options: ReadOptions) -> list[str]:
    if options.subset is not None:
        raise DataError(f"{path}: conversations have no subsets; remove data.subset")
    return list(_files(path))


def _open(path: Path, split: str, options: ReadOptions) -> ConversationSource:
    return ConversationSource(_files(path)[split], split, allow_outside=options.allow_outside)


CONVERSATIONS = Format("conversations", _recognises, _splits, _open)
