"""OpenType math fonts: what layout needs of them, read once and kept in plain dicts.

Lengths are in em. Outlines and ink boxes come from FreeType, the MATH table and the script forms
from fontTools.
"""

import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import freetype
from fontTools.ttLib import TTFont
from freetype.raw import FT_Load_Glyph

from texlens.core.errors import LatexError

_FOLDER = Path(__file__).parents[1] / "fonts"
_FILES = {
    "latin-modern": "latinmodern-math.otf",
    "termes": "texgyretermes-math.otf",
    "pagella": "texgyrepagella-math.otf",
    "schola": "texgyreschola-math.otf",
    "stix": "stixtwomath-subset.ttf",
}
FONT_NAMES = tuple(_FILES)
_REGISTERED: dict[str, str] = {}
DIGIT_FONTS = {"frak": "digits-fraktur", "it": "digits-italic"}
"""Math alphabet → the font of its digits, which Unicode and so the math fonts have no place for."""
CJK = "cjk"
MISSING = "missing"
CJK_REMEDY = "install a CJK font (Debian: fonts-noto-cjk), or set TEXLENS_CJK_FONT to a font file"
_CJK_PLACES = (
    "/usr/share/fonts/opentype/noto/NotoSerifCJK-Regular.ttc",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/System/Library/Fonts/PingFang.ttc",
    "C:/Windows/Fonts/simsun.ttc",
)

# Computer Modern's own parameters (cmsy10, cmex10) that OpenType has no constant for or that Latin Modern rounds.
_TEX_CONSTANTS = {"DisplaySuperscriptShiftUp": 0.413, "SubscriptShiftDownAlone": 0.150, "SpaceAfterScript": 0.05}
_TEX_CONSTANTS |= {"SuperscriptBaselineDropMax": 0.386, "SubscriptBaselineDropMin": 0.05, "UpperLimitGapMin": 0.111}
_TEX_CONSTANTS |= {"UpperLimitBaselineRiseMin": 0.2}
# 8 pt and 6 pt scripts in an 11 pt text: what the formulas of LaTeX_OCR were set with.
_TEX_CONSTANTS |= {"ScriptPercentScaleDown": 8 / 11, "ScriptScriptPercentScaleDown": 6 / 11}
# Heights that TeX counts for the accents of cmr10 and cmmi10; the ink is a little lower.
TEX_ACCENT_HEIGHTS = {"\u0302": 0.694, "\u0303": 0.668, "\u0304": 0.568, "\u20d7": 0.714, "\u0307": 0.668}
TEX_ACCENT_HEIGHTS |= {"\u0308": 0.668, "\u030c": 0.628, "\u0306": 0.694, "\u0301": 0.694, "\u0300": 0.694}
_TEX_DELIMITER_SIZES = (1.0, 1.2, 1.8, 2.4, 3.0)

# FT_LOAD flags: no scale 1, no hinting 2, no bitmap 8
LOAD_UNSCALED = 1 | 2 | 8
LOAD_OUTLINE = 2 | 8


def missing_note(characters: Sequence[str]) -> str:
    """What to do about characters that no font has, in one line."""
    named = ", ".join(f"{character} (U+{ord(character[0]):04X})" for character in characters[:8])
    return f"no font here has {named}; drawn as frames. To draw Chinese, Japanese or Korean, {CJK_REMEDY}"


class Metrics(NamedTuple):
    """One glyph in em: advance, ink box, italic correction and where an accent sits."""

    advance: float
    left: float
    bottom: float
    right: float
    top: float
    italic: float
    accent: float


class Part(NamedTuple):
    """A piece of a stretched glyph."""

    glyph: int
    is_extender: bool
    start_connector: float
    end_connector: float
    full_advance: float


class Construction(NamedTuple):
    """How a glyph grows: ready variants (glyph, size), smallest first, then pieces to assemble."""

    variants: tuple[tuple[int, float], ...]
    parts: tuple[Part, ...]


class FontFile:
    """Any font: characters to glyphs, and metrics of glyphs."""

    def __init__(self, name: str, path: str, index: int = 0):
        self.name = name
        self.path = path
        self.face = freetype.Face(path, index)
        self.lock = threading.Lock()
        self.em = 1.0 / self.face.units_per_EM
        self._metrics: dict[int, Metrics] = {}
        self._glyphs: dict[str, int] = {}

    def glyph(self, character: str) -> int:
        """The glyph of a character; 0 where there is none."""
        index = self._glyphs.get(character)
        if index is None:
            index = self._glyphs[character] = self.face.get_char_index(character)
        return index

    def metrics(self, glyph: int) -> Metrics:
        metrics = self._metrics.get(glyph)
        if metrics is None:
            metrics = self._metrics[glyph] = self._measure(glyph)
        return metrics

    def _corrections(self, glyph: int) -> tuple[float, float | None]:
        """Italic correction and accent position."""
        return 0.0, None

    def _measure(self, glyph: int) -> Metrics:
        em = self.em
        with self.lock:
            if FT_Load_Glyph(self.face._FT_Face, glyph, LOAD_UNSCALED):
                raise LatexError(f"font {self.name}: glyph {glyph} can't be read; reinstall texlens")
            slot = self.face._FT_Face.contents.glyph  # pyrefly: ignore[missing-attribute] - a C pointer
            ink = slot.contents.metrics
            left, top = ink.horiBearingX * em, ink.horiBearingY * em
            right, bottom, advance = left + ink.width * em, top - ink.height * em, ink.horiAdvance * em
        italic, accent = self._corrections(glyph)
        if accent is None:
            accent = (left + right) / 2 if advance == 0 else (advance + italic) / 2
        return Metrics(advance, left, bottom, right, top, italic, accent)


class MissingGlyphs:
    """Frames for characters that no font has; a glyph's number is the character's code, so that unlike ones differ."""

    name = MISSING
    size = Metrics(1.0, 0.06, -0.1, 0.94, 0.86, 0.0, 0.5)
    line_em = 0.04

    def glyph(self, character: str) -> int:
        return ord(character[0])

    def metrics(self, glyph: int) -> Metrics:
        return self.size


MISSING_GLYPHS = MissingGlyphs()


class MathFont(FontFile):
    """A font with a MATH table."""

    def __init__(self, name: str, path: str):
        super().__init__(name, path)
        tables = TTFont(path, lazy=True)
        math = tables["MATH"].table
        glyph_id = tables.getReverseGlyphMap()
        self.constants = _constants(math.MathConstants, self.em)
        tex = name == "latin-modern"
        if tex:
            self.constants |= _TEX_CONSTANTS
        self._italics = dict(_values(math.MathGlyphInfo, "MathItalicsCorrectionInfo", glyph_id, self.em))
        self._accents = dict(_values(math.MathGlyphInfo, "MathTopAccentAttachment", glyph_id, self.em))
        variants = math.MathVariants
        self.overlap = variants.MinConnectorOverlap * self.em
        self._tex_sizes = tex
        self.vertical = self._constructions(variants.VertGlyphCoverage, variants.VertGlyphConstruction, glyph_id)
        self.horizontal = self._constructions(variants.HorizGlyphCoverage, variants.HorizGlyphConstruction, glyph_id)
        self._script_forms = dict(_script_forms(tables, glyph_id))

    def script_form(self, glyph: int, level: int) -> int:
        """The form of a glyph that is drawn for scripts (level 1) or scripts of scripts (2)."""
        forms = self._script_forms.get(glyph)
        return forms[min(level, len(forms)) - 1] if forms and level else glyph

    def _corrections(self, glyph: int) -> tuple[float, float | None]:
        return self._italics.get(glyph, 0.0), self._accents.get(glyph)

    def _constructions(self, coverage: Any, records: Any, glyph_id: dict[str, int]) -> dict[int, Construction]:
        if coverage is None:
            return {}
        return {
            glyph_id[name]: self._construction(record, glyph_id)
            for name, record in zip(coverage.glyphs, records, strict=True)
        }

    def _construction(self, record: Any, glyph_id: dict[str, int]) -> Construction:
        em = self.em
        variants = [(glyph_id[v.VariantGlyph], v.AdvanceMeasurement * em) for v in record.MathGlyphVariantRecord]
        if self._tex_sizes and len(variants) == 8:
            sizes = [v for v in variants if any(abs(v[1] - size) < 0.012 for size in _TEX_DELIMITER_SIZES)]
            variants = sizes if len(sizes) >= 4 else variants
        assembly = record.GlyphAssembly
        parts = tuple(
            Part(
                glyph_id[p.glyph],
                bool(p.PartFlags & 1),
                p.StartConnectorLength * em,
                p.EndConnectorLength * em,
                p.FullAdvance * em,
            )
            for p in (assembly.PartRecords if assembly else ())
        )
        return Construction(tuple(variants), parts)


def _constants(table: Any, em: float) -> dict[str, float]:
    """MATH constants in em; percentages as fractions."""
    constants = {}
    for name in (converter.name for converter in table.getConverters()):
        value = getattr(table, name)
        if hasattr(value, "Value"):
            constants[name] = value.Value * em
        elif isinstance(value, int):
            constants[name] = value / 100 if "Percent" in name else value * em
    constants["DisplaySuperscriptShiftUp"] = constants["SuperscriptShiftUp"] * 1.1
    constants["SubscriptShiftDownAlone"] = constants["SubscriptShiftDown"]
    return constants


def _values(info: Any, table: str, glyph_id: dict[str, int], em: float) -> Iterator[tuple[int, float]]:
    values_table = getattr(info, table, None)
    if values_table is None:
        return
    accents = hasattr(values_table, "TopAccentCoverage")
    coverage = values_table.TopAccentCoverage if accents else values_table.Coverage
    values = values_table.TopAccentAttachment if accents else values_table.ItalicsCorrection
    for name, value in zip(coverage.glyphs, values, strict=True):
        yield glyph_id[name], value.Value * em


def _script_forms(tables: TTFont, glyph_id: dict[str, int]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The `ssty` alternates: glyph → (script form, form for scripts of scripts)."""
    if "GSUB" not in tables:
        return
    substitutions = tables["GSUB"].table
    records = substitutions.FeatureList.FeatureRecord
    lookup_indices = {index for r in records if r.FeatureTag == "ssty" for index in r.Feature.LookupListIndex}
    for index in sorted(lookup_indices):
        for subtable in substitutions.LookupList.Lookup[index].SubTable:
            subtable = getattr(subtable, "ExtSubTable", subtable)
            for name, forms in getattr(subtable, "alternates", {}).items():
                yield glyph_id[name], tuple(glyph_id[form] for form in forms)
            for name, form in getattr(subtable, "mapping", {}).items():
                yield glyph_id[name], (glyph_id[form],)


def register_math_font(name: str, path: Path) -> None:
    """Lets `layout` draw with a math font that is not bundled: a file with a MATH table.

    Raises:
        LatexError: there is no such file, or the name is taken by another one.
    """
    if not path.is_file():
        raise LatexError(f"{path}: no such font file")
    if name in _FILES or _REGISTERED.get(name, str(path)) != str(path):
        raise LatexError(f"the font name {name!r} is taken; choose another")
    _REGISTERED[name] = str(path)


@cache
def math_font(name: str) -> MathFont:
    """One of `FONT_NAMES` or a registered font, loaded at its first use.

    Raises:
        LatexError: there is no such font.
    """
    if name in _REGISTERED:
        return MathFont(name, _REGISTERED[name])
    if name not in _FILES:
        raise LatexError(f"unknown math font {name!r}; there are {', '.join(FONT_NAMES)}")
    return MathFont(name, str(_FOLDER / _FILES[name]))


@cache
def _digit_font(name: str) -> FontFile:
    return FontFile(name, str(_FOLDER / f"{name}.ttf"))


@cache
def cjk_font() -> FontFile | None:
    """A font of this machine with Chinese characters, or None; `TEXLENS_CJK_FONT` names one."""
    for path in (os.environ.get("TEXLENS_CJK_FONT", ""), *_CJK_PLACES, _fontconfig_match()):
        if path and Path(path).is_file():
            font = FontFile(CJK, path)
            if font.glyph("中"):
                return font
    return None


def _fontconfig_match() -> str:
    try:
        command = ["fc-match", "--format=%{file}", "serif:lang=zh-cn"]
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


AnyFont = FontFile | MissingGlyphs
_ADDED: dict[str, FontFile] = {}


def add_font(font: FontFile) -> None:
    """Lets placed glyphs name a font that is none of ours, such as one of TeX's."""
    _ADDED[font.name] = font


def font_file(name: str) -> AnyFont:
    """The font that a placed glyph names: a math font, the Chinese one, one that was added, or the missing glyphs."""
    if name in _ADDED:
        return _ADDED[name]
    if name == MISSING:
        return MISSING_GLYPHS
    if name in DIGIT_FONTS.values():
        return _digit_font(name)
    if name == CJK:
        font = cjk_font()
        if font is None:
            raise LatexError(f"no font with Chinese characters; {CJK_REMEDY}")
        return font
    return math_font(name)


@cache
def fallbacks(name: str, system_fonts: bool) -> tuple[str, ...]:
    """Fonts to look in, in order, for a character that font `name` lacks."""
    bundled = tuple(other for other in ("stix", "latin-modern") if other != name)
    return (*bundled, CJK) if system_fonts and cjk_font() is not None else bundled
