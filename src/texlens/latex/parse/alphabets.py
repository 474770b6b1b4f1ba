"""Letters in math alphabets: from `A` in bold to the Unicode character 𝐀."""

from functools import cache

_UPPER, _LOWER, _DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz", "0123456789"
_GREEK_UPPER = "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡϴΣΤΥΦΧΨΩ∇"
_GREEK_LOWER = "αβγδεζηθικλμνξοπρςστυφχψω∂ϵϑϰϕϱϖ"

# alphabet → where its capitals, small letters, digits, Greek capitals and Greek small letters begin
_STARTS: dict[str, tuple[int, int, int, int, int]] = {
    "bf": (0x1D400, 0x1D41A, 0x1D7CE, 0x1D6A8, 0x1D6C2),
    "it": (0x1D434, 0x1D44E, 0, 0x1D6E2, 0x1D6FC),
    "bfit": (0x1D468, 0x1D482, 0x1D7CE, 0x1D71C, 0x1D736),
    "cal": (0x1D49C, 0x1D4B6, 0, 0, 0),
    "bfcal": (0x1D4D0, 0x1D4EA, 0x1D7CE, 0, 0),
    "frak": (0x1D504, 0x1D51E, 0, 0, 0),
    "bffrak": (0x1D56C, 0x1D586, 0x1D7CE, 0, 0),
    "bb": (0x1D538, 0x1D552, 0x1D7D8, 0, 0),
    "sf": (0x1D5A0, 0x1D5BA, 0x1D7E2, 0, 0),
    "bfsf": (0x1D5D4, 0x1D5EE, 0x1D7EC, 0x1D756, 0x1D770),
    "sfit": (0x1D608, 0x1D622, 0x1D7E2, 0, 0),
    "bfsfit": (0x1D63C, 0x1D656, 0x1D7EC, 0x1D790, 0x1D7AA),
    "tt": (0x1D670, 0x1D68A, 0x1D7F6, 0, 0),
}
# places that Unicode had filled before it got these alphabets
_LETTERLIKE = {
    "it": {"h": "ℎ"},
    "cal": dict(zip("BEFHILMRego", "ℬℰℱℋℐℒℳℛℯℊℴ", strict=True)),
    "frak": dict(zip("CHIRZ", "ℭℌℑℜℨ", strict=True)),
    "bb": dict(zip("CHNPQRZ", "ℂℍℕℙℚℝℤ", strict=True)),
}
_BOLDER = {"": "bf", "rm": "bf", "it": "bfit", "cal": "bfcal", "scr": "bfcal", "frak": "bffrak", "sf": "bfsf"}


@cache
def _table(alphabet: str) -> dict[str, str]:
    starts = _STARTS[alphabet]
    table = {}
    for letters, start in zip((_UPPER, _LOWER, _DIGITS, _GREEK_UPPER, _GREEK_LOWER), starts, strict=True):
        if start:
            table |= {letter: chr(start + i) for i, letter in enumerate(letters)}
    if starts[3]:
        table["Θ"] = chr(starts[3] + 7)
    return table | _LETTERLIKE.get(alphabet, {})


_SERIES = {"\\textbf": "bf", "\\bfseries": "bf", "\\textmd": "", "\\mdseries": ""}
_SHAPES = {"\\textit": "it", "\\textsl": "it", "\\itshape": "it", "\\slshape": "it", "\\textup": "", "\\upshape": ""}
_SHAPES |= {"\\textsc": "", "\\scshape": ""}
_FAMILIES = {
    "\\textrm": "",
    "\\rmfamily": "",
    "\\textsf": "sf",
    "\\sffamily": "sf",
    "\\texttt": "tt",
    "\\ttfamily": "tt",
}
_RESETS = {"\\textnormal": "rm", "\\normalfont": "rm", "\\rm": "rm", "\\bf": "bf", "\\it": "it", "\\sl": "it"}
_RESETS |= {"\\sf": "sf", "\\tt": "tt", "\\sc": "rm", "\\bfit": "bfit"}


def text_font(font: str, command: str) -> str:
    r"""The font after a text command: series, family and shape change one at a time, as in LaTeX.

    Example:
        text_font("bf", r"\emph") == "bfit"
    """
    if command in _RESETS:
        return _RESETS[command]
    series, shape = "bf" * font.startswith("bf"), "it" * font.endswith("it")
    family = "sf" if "sf" in font else "tt" if "tt" in font else ""
    if command in _SERIES:
        series = _SERIES[command]
    elif command in _SHAPES:
        shape = _SHAPES[command]
    elif command in _FAMILIES:
        family = _FAMILIES[command]
    elif command in ("\\emph", "\\em"):
        shape = "" if shape else "it"
    return "tt" if family == "tt" else (series + family + shape) or "rm"


@cache
def styled(character: str, alphabet: str, bold: bool) -> str:
    """The character that draws `character` in an alphabet, as LaTeX chooses it in math mode.

    `alphabet` is "" for none: Latin and small Greek letters are then italic, Greek capitals upright. Small Greek
    letters take no alphabet but bold, as in Computer Modern.
    """
    small_greek = character in _GREEK_LOWER
    if small_greek:
        return _table("bfit" if bold else "it")[character]
    if character in "𝚤𝚥":
        return character if alphabet in ("", "it", "normal") else "ıȷ"["𝚤𝚥".index(character)]
    capital_greek = character in _GREEK_UPPER or character == "Θ"
    if alphabet in ("", "normal"):
        if capital_greek:
            italic = alphabet == "normal" and character != "∇"
            name = ("bfit" if bold else "it") if italic else ("bf" if bold else "")
        else:
            name = "bfit" if bold else "it"
    elif alphabet == "rm":
        name = "bf" if bold else ""
    else:
        name = "cal" if alphabet == "scr" else alphabet
        name = _BOLDER.get(name, name) if bold else name
    if not name or (capital_greek and character == "∇" and not bold):
        return character
    known = _table(name).get(character)
    if known is None and name in ("cal", "bfcal", "frak", "bb") and not capital_greek:
        return character
    return known or character
