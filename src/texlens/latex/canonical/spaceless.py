r"""Canonical form without spacing commands and fence sizes, for labels that differ in nothing else."""

from functools import lru_cache

from texlens.latex.canonical.form import canonical
from texlens.latex.parse import symbols as sym
from texlens.latex.parse.tokens import tokenize

_SPACES = frozenset(sym.SPACES) | {"\\hspace", "\\hskip", "\\kern", "\\mkern", "\\mskip"}
_WITH_LENGTH = frozenset(["\\hspace"])
_FENCES = frozenset(["\\left", "\\right", "\\middle", *sym.BIG])


@lru_cache(maxsize=32_768)
def spaceless(formula: str) -> tuple[str, ...]:
    r"""Tokens of the canonical form without spaces, `\left`, `\right`, `\big` and kin; null delimiters go.

    Equal for `\left( x \, \right)` and `(x)`. What does not parse keeps its own tokens.
    """
    form = canonical(formula)
    if form.problem is not None:
        return form.tokens
    stripped = canonical(" ".join(_without_spacing(tokenize(form.text))))
    if stripped.problem is not None:
        return form.tokens
    return tuple(_without_spacing(tokenize(stripped.text)))


def _without_spacing(tokens: list[str]) -> list[str]:
    out: list[str] = []
    i = 0
    while i < len(tokens):
        token = tokens[i]
        i += 1
        if token in _FENCES:
            if i < len(tokens) and tokens[i] == "." and token in ("\\left", "\\right"):
                i += 1
        elif token in _WITH_LENGTH:
            while i < len(tokens) and tokens[i] != "}":
                i += 1
            i += 1
        elif token not in _SPACES:
            out.append(token)
    return out
