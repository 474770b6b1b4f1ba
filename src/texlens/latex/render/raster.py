"""A layout as a picture: FreeType's anti-aliased glyphs, kept at quarter-pixel positions and laid over one another."""

import ctypes
import math
from collections.abc import Sequence

import numpy as np
from freetype.raw import FT_Load_Glyph, FT_Outline_Translate, FT_Render_Glyph, FT_Set_Char_Size
from PIL import Image

from texlens.core.errors import LatexError
from texlens.latex.layout.boxes import Layout, PlacedLine, PlacedRule, is_dashed
from texlens.latex.layout.fonts import LOAD_OUTLINE, MISSING, MISSING_GLYPHS, FontFile, font_file

MAX_PIXELS = 64_000_000
_STEPS = 4
_DASH_EM = 0.2
_RENDER_GRAY = 0  # FT_RENDER_MODE_NORMAL

# (font, glyph, size in 1/64 px, x and y in quarter pixels) → coverage, left, top
_Bitmap = tuple[np.ndarray, int, int]
_bitmaps: dict[tuple[str, int, int, int, int], _Bitmap] = {}
_most_kept = 40_000


def keep_glyphs(most: int) -> None:
    """Lets so many drawn glyphs be kept (a few hundred bytes each); all go when there are more."""
    global _most_kept
    _most_kept = most


def draw(
    layout: Layout,
    pixels_per_em: float,
    *,
    padding: float | Sequence[float] = 2.0,
    ink: int = 0,
    paper: int = 255,
) -> Image.Image:
    """The formula in gray (`L`), as large as its ink and its own box and `padding` pixels around.

    `padding` is one number, or left, top, right, bottom. Fractions of a pixel move the formula within the picture.

    Raises:
        LatexError: the picture would have more than `MAX_PIXELS` pixels.
    """
    left_pad, top_pad, right_pad, bottom_pad = [padding] * 4 if isinstance(padding, int | float) else padding
    left, bottom, right, top = (value * pixels_per_em for value in layout.ink_box())
    width = max(1, math.ceil(right - left + left_pad + right_pad))
    height = max(1, math.ceil(top - bottom + top_pad + bottom_pad))
    if width * height > MAX_PIXELS:
        raise LatexError(f"the picture would be {width} × {height} pixels; draw it smaller")
    coverage = np.zeros((height, width), np.uint8)
    x0, y0 = left_pad - left, top_pad + top
    for _, font, glyph, x, y, size, _ in layout.glyphs:
        if font == MISSING:
            for side in frame(glyph, x, y, size):
                _fill(coverage, side, pixels_per_em, x0, y0)
            continue
        _blit(coverage, font, glyph, size * pixels_per_em, x0 + x * pixels_per_em, y0 - y * pixels_per_em)
    for rule in layout.rules:
        for part in dashes(rule):
            _fill(coverage, part, pixels_per_em, x0, y0)
    for line in layout.lines:
        _stroke(coverage, line, pixels_per_em, x0, y0)
    if ink == 0 and paper == 255:
        return Image.fromarray(255 - coverage)
    levels = np.linspace(paper, ink, 256).round().astype(np.uint8)
    return Image.fromarray(levels[coverage])


def frame(glyph: int, x: float, y: float, size: float) -> list[PlacedRule]:
    """The four sides of the frame that is drawn for a missing glyph."""
    _, left, bottom, right, top, _, _ = MISSING_GLYPHS.metrics(glyph)
    line = MISSING_GLYPHS.line_em
    sides = [
        (left, bottom, right - left, line),
        (left, top - line, right - left, line),
        (left, bottom, line, top - bottom),
        (right - line, bottom, line, top - bottom),
    ]
    return [PlacedRule(x + a * size, y + b * size, c * size, d * size, "") for a, b, c, d in sides]


def dashes(rule: PlacedRule) -> list[PlacedRule]:
    """A dashed rule as its dashes, another one as itself."""
    if not is_dashed(rule):
        return [rule]
    is_flat = rule.width > rule.height
    count = max(1, int((rule.width if is_flat else rule.height) / (2 * _DASH_EM)))
    step = (rule.width if is_flat else rule.height) / count
    if is_flat:
        return [rule._replace(x=rule.x + step * i, width=step / 2) for i in range(count)]
    return [rule._replace(y=rule.y + step * i, height=step / 2) for i in range(count)]


def _stroke(coverage: np.ndarray, line: PlacedLine, scale: float, x0: float, y0: float) -> None:
    """A straight stroke, anti-aliased by its distance from each pixel's center."""
    ax, ay = x0 + line.x * scale, y0 - line.y * scale
    bx, by = ax + line.dx * scale, ay - line.dy * scale
    half = max(0.5, line.thickness * scale / 2)
    rows = np.arange(max(0, int(min(ay, by) - half - 1)), min(coverage.shape[0], int(max(ay, by) + half + 2)))
    columns = np.arange(max(0, int(min(ax, bx) - half - 1)), min(coverage.shape[1], int(max(ax, bx) + half + 2)))
    if not len(rows) or not len(columns):
        return
    x, y = columns[None, :] + 0.5 - ax, rows[:, None] + 0.5 - ay
    dx, dy = bx - ax, by - ay
    along = np.clip((x * dx + y * dy) / max(dx * dx + dy * dy, 1e-9), 0.0, 1.0)
    distance = np.hypot(x - along * dx, y - along * dy)
    patch = (np.clip(half + 0.5 - distance, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)
    target = coverage[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    np.maximum(target, patch, out=target)


def _blit(coverage: np.ndarray, font: str, glyph: int, size: float, x: float, y: float) -> None:
    steps_x, steps_y = round(x * _STEPS), round(y * _STEPS)
    column, row = steps_x // _STEPS, steps_y // _STEPS
    key = (font, glyph, int(size * 64 + 0.5), steps_x % _STEPS, steps_y % _STEPS)
    placed_bitmap = _bitmaps.get(key)
    if placed_bitmap is None:
        if len(_bitmaps) > _most_kept:
            _bitmaps.clear()
        placed_bitmap = _bitmaps[key] = _rasterize(*key)
    bitmap, left, top = placed_bitmap
    column += left
    row -= top
    rows, columns = bitmap.shape
    total_rows, total_columns = coverage.shape
    if row < 0 or column < 0 or row + rows > total_rows or column + columns > total_columns:
        cut_top, cut_left = max(0, -row), max(0, -column)
        bitmap = bitmap[cut_top : max(cut_top, total_rows - row), cut_left : max(cut_left, total_columns - column)]
        row, column = row + cut_top, column + cut_left
        rows, columns = bitmap.shape
    if rows and columns:
        target = coverage[row : row + rows, column : column + columns]
        np.maximum(target, bitmap, out=target)


def _rasterize(font: str, glyph: int, size_64: int, step_x: int, step_y: int) -> _Bitmap:
    file = font_file(font)
    assert isinstance(file, FontFile)
    face = file.face._FT_Face
    with file.lock:
        FT_Set_Char_Size(face, max(1, size_64), 0, 72, 72)
        if FT_Load_Glyph(face, glyph, LOAD_OUTLINE):
            raise LatexError(f"font {font}: glyph {glyph} can't be read; reinstall texlens")
        slot = face.contents.glyph  # pyrefly: ignore[missing-attribute] - a C pointer
        quarter = 64 // _STEPS
        FT_Outline_Translate(ctypes.byref(slot.contents.outline), step_x * quarter, -step_y * quarter)
        FT_Render_Glyph(slot, _RENDER_GRAY)
        bitmap = slot.contents.bitmap
        rows, columns, pitch = bitmap.rows, bitmap.width, bitmap.pitch
        raw = ctypes.string_at(bitmap.buffer, rows * pitch) if rows and columns else b""
        left, top = slot.contents.bitmap_left, slot.contents.bitmap_top
    pixels = np.frombuffer(raw, np.uint8).reshape(rows, pitch)[:, :columns] if raw else np.zeros((0, 0), np.uint8)
    return np.ascontiguousarray(pixels), left, top


def _fill(coverage: np.ndarray, rule: PlacedRule, scale: float, x0: float, y0: float) -> None:
    """A rectangle whose edges fall where they fall: edge pixels take the share of them that it covers."""
    left, right = x0 + rule.x * scale, x0 + (rule.x + rule.width) * scale
    top, bottom = y0 - (rule.y + rule.height) * scale, y0 - rule.y * scale
    across, first_column = _shares(left, right, coverage.shape[1])
    down, first_row = _shares(top, bottom, coverage.shape[0])
    if len(across) and len(down):
        patch = (np.outer(down, across) * 255 + 0.5).astype(np.uint8)
        target = coverage[first_row : first_row + len(down), first_column : first_column + len(across)]
        np.maximum(target, patch, out=target)


def _shares(start: float, end: float, limit: int) -> tuple[np.ndarray, int]:
    """How much of each pixel from `start` to `end` is covered, and the first of these pixels."""
    start, end = max(0.0, start), min(float(limit), end)
    if end <= start:
        return np.zeros(0), 0
    first, last = int(start), min(limit, math.ceil(end))
    edges = np.arange(first, last)
    return np.minimum(edges + 1, end) - np.maximum(edges, start), first
