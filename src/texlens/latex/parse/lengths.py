"""Lengths in a source, such as `1.5em` and `2pt plus 1fil`."""

import re

from texlens.latex.parse import symbols as sym

_LONGEST_EM = 10_000.0
COLUMN_RANGE = re.compile(r"\s*(\d{1,3})\s*-\s*(\d{1,3})\s*")
DIMENSION = re.compile(r"\s*([-+]?)\s*(\d*[.,]?\d*)\s*(?:true)?\s*([a-z]{2})?")
STRETCH = re.compile(r"\s*(?:plus|minus)\s*[-\d.]*\s*[a-z]{2,5}")
ROW_GAP = re.compile(
    r"\[\s*(?P<length>[-+]?[\d.,]*\s*(?:[a-z]{2}|\\[A-Za-z]+))(?:\s*(?:plus|minus)\s*[-\d.]*\s*[a-z]{2,5})*\s*\]"
)
"""The option of `\\\\`."""


def length_em(match: re.Match[str]) -> float:
    sign, number, unit = match.groups()
    digits = number.replace(",", ".")
    value = float(digits) if any(d.isdecimal() for d in digits) and digits.isascii() else 0.0
    length = min(value * sym.UNITS_EM.get(unit or "", 0.0), _LONGEST_EM)
    return -length if sign == "-" else length
