"""The pictures inside a report: the rows' images as data URIs, and their formulas drawn as SVG, within budgets."""

import base64
import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from PIL import Image

from texlens.core.errors import DataError, LatexError
from texlens.latex.parse.tokens import tokenize

MAX_SIDE = 1000
SMALL_BYTES = 40_000
"""Images up to this size are kept as they are, larger ones may be scaled down."""

MAX_DRAWN_TOKENS = 400
"""A longer text is a model gone astray; drawing it shows nothing."""

_MIME = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}


class ImageSource(Protocol):
    """An image that is read when asked, such as `data.sample.LazyImage`."""

    @property
    def where(self) -> str: ...

    @property
    def read(self) -> Callable[[], bytes]: ...

    def load(self) -> Image.Image: ...


def data_uri(image: ImageSource) -> str:
    """The image for an `img` tag, scaled down where it is large.

    Raises:
        DataError: not a readable image.
    """
    try:
        data = image.read()
    except OSError as error:
        raise DataError(f"{image.where}: can't be read ({error.strerror or error})") from error
    mime = _mime(data)
    if mime is None or len(data) > SMALL_BYTES:
        mime, data = _smaller(image.load(), mime, data)
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


@dataclass
class Drawings:
    """Formulas drawn once each, until the budget of bytes or seconds is spent.

    `items` holds an SVG each, or `!` and the reason why there is none; rows refer to it by index.
    """

    draw: Callable[[str], str]
    max_bytes: int
    max_seconds: float
    items: list[str] = field(default_factory=list)
    bytes: int = 0
    draw_pair: Callable[[str, str], tuple[str, str]] | None = None
    """Of a truth and a text: both with their differences colored."""

    _index: dict[str | tuple[str, str], int] = field(default_factory=dict)
    _started: float | None = None

    @property
    def spent(self) -> bool:
        if self._started is None:
            self._started = time.monotonic()
        return self.bytes >= self.max_bytes or time.monotonic() - self._started > self.max_seconds

    def index(self, formula: str) -> int | None:
        """Where the drawing stands; None once the budget is spent and this formula was not drawn before."""
        if formula not in self._index:
            if self.spent:
                return None
            item = self._drawn(formula)
            self.bytes += len(item)
            self._index[formula] = len(self.items)
            self.items.append(item)
        return self._index[formula]

    def pair(self, reference: str, text: str) -> tuple[int, int] | None:
        """Where the two drawings with colored differences stand; None where there are none to be had."""
        key = (reference, text)
        if key not in self._index:
            if self.draw_pair is None or self.spent or max(map(len, map(tokenize, key))) > MAX_DRAWN_TOKENS:
                return None
            try:
                items = self.draw_pair(reference, text)
            except LatexError:
                return None
            self.bytes += sum(map(len, items))
            self._index[key] = len(self.items)
            self.items += items
        return self._index[key], self._index[key] + 1

    def _drawn(self, formula: str) -> str:
        tokens = len(tokenize(formula))
        if tokens > MAX_DRAWN_TOKENS:
            return f"!not drawn: {tokens:,} tokens"
        if not tokens:
            return "!empty"
        try:
            return self.draw(formula)
        except LatexError as error:
            return f"!can't be drawn: {error}"


def _mime(data: bytes) -> str | None:
    """By the first bytes, for formats that browsers show; None for others, which are written as PNG or JPEG."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((mime for start, mime in _MIME.items() if data.startswith(start)), None)


def _smaller(image: Image.Image, mime: str | None, data: bytes) -> tuple[str, bytes]:
    """The shortest of the original, a PNG and a JPEG of at most `MAX_SIDE` pixels a side."""
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    choices = [("image/png", _saved(image, "PNG", optimize=True)), ("image/jpeg", _saved(image, "JPEG", quality=82))]
    if mime is not None:
        choices.append((mime, data))
    return min(choices, key=lambda choice: len(choice[1]))


def _saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
