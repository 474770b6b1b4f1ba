"""Which rows of a split are shown: by text, length, edits and problems; and their order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from texlens.core.errors import ConfigError
from texlens.data.validate.findings import KINDS

EditFilter = Literal["any", "edited", "excluded", "marked", "untouched"]
Order = Literal["source", "longest", "shortest", "text"]


@dataclass(frozen=True)
class RowQuery:
    """
    Attributes:
        text: what the row's text or id holds; upper and lower case and whitespace don't count.
        problem: a kind of finding, or `any` of them.
        edits: what was done to the row.
        min_characters, max_characters: of the text.
    """

    text: str = ""
    problem: str = ""
    edits: EditFilter | Literal[""] = ""
    min_characters: int | None = None
    max_characters: int | None = None
    order: Order = "source"

    def __post_init__(self) -> None:
        for what, value, known in (
            ("problem", self.problem, ("", "any", *KINDS)),
            ("edits", self.edits, ("", "any", "edited", "excluded", "marked", "untouched")),
            ("order", self.order, ("source", "longest", "shortest", "text")),
        ):
            if value not in known:
                raise ConfigError(f"{what} {value!r}: not known; use one of {', '.join(filter(None, known))}")


def matching_texts(query: RowQuery, texts: Sequence[str], ids: Sequence[str]) -> list[int]:
    r"""The rows whose text and id fit; edits and problems are not looked at.

    Example:
        text "\frac{A}": rows with "\frac { a }" too
    """
    rows = range(len(texts))
    low, high = query.min_characters or 0, query.max_characters
    if low or high is not None:
        rows = [row for row in rows if low <= len(texts[row]) <= (len(texts[row]) if high is None else high)]
    part = _folded(query.text)
    if not part:
        return list(rows)
    return [row for row in rows if part in _folded(texts[row]) or part in _folded(ids[row])]


def in_order(query: RowQuery, rows: list[int], texts: Sequence[str]) -> list[int]:
    if query.order == "source":
        return rows
    if query.order == "text":
        return sorted(rows, key=lambda row: texts[row])
    sign = -1 if query.order == "longest" else 1
    return sorted(rows, key=lambda row: sign * len(texts[row]))


def _folded(text: str) -> str:
    return "".join(text.split()).casefold()
