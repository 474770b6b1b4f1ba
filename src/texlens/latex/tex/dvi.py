"""TeX's DVI files: every glyph, rule and special with its position on its page (Knuth, DVItype).

Own code because matplotlib.dviread (3.11.2) discards specials (`Dvi._xxx` only logs them); they map ink to nodes.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

_PUT, _RULES, _BOP, _EOP, _PUSH, _POP, _FIRST_MOVE, _FONT_0, _POST = 133, (132, 137), 139, 140, 141, 142, 143, 171, 248
_MOST_DEPTH = 10_000


class DviGlyph(NamedTuple):
    """A character of a font at `size_pt`, its origin at (x, y) in points, y up from the page's first baseline."""

    font: str
    size_pt: float
    code: int
    x_pt: float
    y_pt: float


class DviRule(NamedTuple):
    """A black box with its lower left corner at (x, y)."""

    x_pt: float
    y_pt: float
    width_pt: float
    height_pt: float


class DviSpecial(NamedTuple):
    text: str
    x_pt: float
    y_pt: float


DviItem = DviGlyph | DviRule | DviSpecial
Widths = Callable[[str, int], float]
"""The width of a character of a font, as a share of the font's size."""


class DviError(ValueError):
    """No DVI file, or one that was cut short."""


class _Bytes:
    def __init__(self, data: bytes):
        self.data = data
        self.at = 0

    def number(self, size: int, signed: bool = False) -> int:
        end = self.at + size
        if end > len(self.data):
            raise DviError(f"cut short at byte {len(self.data)}")
        value = int.from_bytes(self.data[self.at : end], "big", signed=signed)
        self.at = end
        return value

    def text(self, size: int) -> str:
        end = self.at + size
        if end > len(self.data):
            raise DviError(f"cut short at byte {len(self.data)}")
        text = self.data[self.at : end].decode("latin-1")
        self.at = end
        return text


def read_pages(data: bytes, width_of: Widths) -> Iterator[tuple[int, list[DviItem]]]:
    r"""(`\count0`, items in the order in which TeX set them) of each page.

    Raises:
        DviError: not a DVI file, or cut short.
    """
    source = _Bytes(data)
    if source.number(1) != 247 or source.number(1) != 2:
        raise DviError("no DVI file")
    numerator, denominator, magnification = (source.number(4) for _ in range(3))
    source.text(source.number(1))
    # DVI's own unit in 1e-7 m times numerator / denominator, in points of 1/72.27 inch.
    unit = numerator / denominator * magnification / 1000 * 72.27 / 254_000
    fonts: dict[int, tuple[str, int]] = {}
    while True:
        code = source.number(1)
        if code == _BOP:
            page = source.number(4, signed=True)
            source.text(40)
            yield page, _page(source, fonts, width_of, unit)
        elif code == _POST:
            return
        elif 243 <= code <= 246:
            _define(source, code - 242, fonts)
        elif code != 138:
            raise DviError(f"command {code} between pages, at byte {source.at - 1}")


def _define(source: _Bytes, size: int, fonts: dict[int, tuple[str, int]]) -> None:
    number = source.number(size)
    source.number(4)
    scaled = source.number(4)
    source.number(4)
    area, name = source.number(1), source.number(1)
    fonts[number] = source.text(area + name)[area:], scaled


def _page(source: _Bytes, fonts: dict[int, tuple[str, int]], width_of: Widths, unit: float) -> list[DviItem]:
    items: list[DviItem] = []
    h = v = w = x = y = z = 0
    stack: list[tuple[int, int, int, int, int, int]] = []
    font: tuple[str, int] = ("", 0)
    while True:
        code = source.number(1)
        if code <= 131 or _PUT <= code <= 136:
            character = code if code < 128 else source.number(code - 127 if code < _PUT else code - 132)
            name, scaled = font
            items.append(DviGlyph(name, scaled * unit, character, h * unit, -v * unit))
            if code < _PUT:
                h += round(width_of(name, character) * scaled)
        elif code in _RULES:
            height, width = source.number(4, signed=True), source.number(4, signed=True)
            if height > 0 and width > 0:
                items.append(DviRule(h * unit, -v * unit, width * unit, height * unit))
            h += width if code == 132 else 0
        elif code == _EOP:
            return items
        elif code == _PUSH:
            if len(stack) >= _MOST_DEPTH:
                raise DviError(f"boxes more than {_MOST_DEPTH} deep")
            stack.append((h, v, w, x, y, z))
        elif code == _POP:
            h, v, w, x, y, z = stack.pop()
        elif _FIRST_MOVE <= code < _FONT_0:
            kind, size = _MOVES[code - _FIRST_MOVE]
            by = source.number(size, signed=True) if size else {"w": w, "x": x, "y": y, "z": z}[kind]
            if kind == "w":
                w = by
            elif kind == "x":
                x = by
            elif kind == "y":
                y = by
            elif kind == "z":
                z = by
            if kind in "hwx":
                h += by
            else:
                v += by
        elif code < 239:
            font = fonts[code - _FONT_0 if code < 235 else source.number(code - 234)]
        elif code <= 242:
            items.append(DviSpecial(source.text(source.number(code - 238)), h * unit, -v * unit))
        elif 243 <= code <= 246:
            _define(source, code - 242, fonts)
        elif code != 138:
            raise DviError(f"command {code} on a page, at byte {source.at - 1}")


# right, w, x, down, y, z: by how many bytes; w0 and kin repeat what was last.
_MOVES = [
    *(("h", size) for size in range(1, 5)),
    *(("w", size) for size in range(5)),
    *(("x", size) for size in range(5)),
    *(("v", size) for size in range(1, 5)),
    *(("y", size) for size in range(5)),
    *(("z", size) for size in range(5)),
]
