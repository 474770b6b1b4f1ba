r"""The grammar's weights learned from a list: how often each symbol and each structure occurs in it.

`learned_alphabet(labels)` gives what `RandomFormulas` draws from. Labels are tokens with one space between them and
braced scripts, as `canonical` writes them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace

from texlens.core.errors import DataError
from texlens.latex.generate.alphabet import ALL, SAME_LOOK, Alphabet

_GRAINS = 600
"""Entries of a symbol table: a symbol's share of them is its share of the list."""
_SINGLES = {
    "latin": "latin", "digit": "digits", "greek": "greek", "other": "others", "binary": "binary",
    "relation": "relations", "punctuation": "punctuation", "function": "functions",
}  # fmt: skip
_SYMBOL_TABLES = (*_SINGLES.values(), "limit_functions", "operators", "accents", "wide_accents", "sizes", "fonts")
_STRUCTURES = {
    "fraction": ("\\frac",),
    "root": ("\\sqrt",),
    "operator": ALL.operators,
    "accent": tuple(dict.fromkeys(ALL.accents)),
    "wide": ALL.wide_accents,
    "fence": ("(", "[", "\\{", "\\langle", "\\lfloor"),
    "font": tuple(dict.fromkeys(ALL.fonts)),
    "tall": tuple(dict.fromkeys(opening for opening, _ in ALL.tall_fences)),
    "array": ("\\begin{array}",),
    "stacked": ("\\stackrel", "\\binom", "\\atop"),
}
_BASES = {"latin": 0.6, "greek": 0.3, "digit": 0.1}
"""What a script hangs on, as the grammar draws it."""


def learned_alphabet(labels: Iterable[str]) -> Alphabet:
    """Symbols and shapes as often as in the labels; what does not occur is never generated.

    Raises:
        DataError: no letter or digit in any label.
    """
    counts = Counter(SAME_LOOK.get(token, token) for label in labels for token in _delimited(label.split()))
    tables = {name: _grains(tuple(dict.fromkeys(getattr(ALL, name))), counts) for name in _SYMBOL_TABLES}
    letters = tables["latin"] or tables["greek"] or tables["digits"]
    if not letters:
        raise DataError("the list of formulas has no letter and no digit to learn from; give another list")
    shapes = _shapes(counts, tables)
    for name in ("latin", "greek", "digits"):
        tables[name] = tables[name] or letters
    tables["relations"] = tables["relations"] or ("=",)
    fences = {
        "fences": _grains(ALL.fences, counts, key=lambda pair: pair[0]),
        "tall_fences": _grains(ALL.tall_fences, counts, key=lambda pair: pair[0]),
    }
    # The grammar's `sized` shape always takes the first four fences.
    fences["fences"] = (*ALL.fences[:4], *fences["fences"]) if fences["fences"] else ALL.fences
    nonempty = {name: table for name, table in fences.items() if table}
    names = {field.name for field in fields(Alphabet)}
    return replace(ALL, shapes=shapes, **{k: v for k, v in (tables | nonempty).items() if k in names and v})


def _delimited(tokens: Sequence[str]) -> list[str]:
    r"""`\left` and the delimiter behind it as one token, as the grammar's tables have them."""
    joined: list[str] = []
    for token in tokens:
        if joined and joined[-1] in ("\\left", "\\right"):
            joined[-1] += token
        else:
            joined.append(token)
    return joined


def _grains(symbols: tuple, counts: Counter, key=lambda symbol: symbol) -> tuple:
    """Each symbol that occurs as many times as its share asks for, at least once."""
    total = sum(counts[key(symbol)] for symbol in symbols)
    return tuple(
        symbol for symbol in symbols for _ in range(-(-_GRAINS * counts[key(symbol)] // total) if total else 0)
    )


def _shapes(counts: Counter, tables: dict[str, tuple]) -> dict[str, float]:
    scripted = max(counts["_"], counts["^"])
    weights = {kind: float(sum(counts[symbol] for symbol in set(tables[name]))) for kind, name in _SINGLES.items()}
    for kind, share in _BASES.items():
        weights[kind] = max(weights[kind] - share * scripted, 0.2 * weights[kind])
    weights["scripted"] = float(scripted)
    weights |= {kind: float(sum(counts[symbol] for symbol in symbols)) for kind, symbols in _STRUCTURES.items()}
    weights["sized"] = sum(counts[symbol] for symbol in set(ALL.sizes)) / 2
    return {kind: weight for kind, weight in weights.items() if weight}


def restricted(alphabet: Alphabet, allowed: frozenset[str]) -> Alphabet:
    """The alphabet without the symbols that are not allowed, and without shapes that have none left."""
    tables = {name: tuple(s for s in getattr(alphabet, name) if s in allowed) for name in _SYMBOL_TABLES}
    fences = {
        name: tuple(pair for pair in getattr(alphabet, name) if all(part in allowed for part in pair))
        for name in ("fences", "tall_fences")
    }
    named = {
        **_SINGLES, "operator": "operators", "accent": "accents", "wide": "wide_accents", "sized": "sizes",
        "font": "fonts", "fence": "fences", "tall": "tall_fences",
    }  # fmt: skip
    every = tables | fences
    shapes = {kind: weight for kind, weight in alphabet.shapes.items() if kind not in named or every[named[kind]]}
    letters = tables["latin"] or tables["greek"] or tables["digits"]
    for name in ("latin", "greek", "digits"):
        every[name] = every[name] or letters
    every["relations"] = every["relations"] or ("=",)
    every["fences"] = every["fences"] or alphabet.fences
    return replace(alphabet, shapes=shapes, **every)
