"""Sources of formulas: a grammar, recombined pieces of a list, or the list itself."""

import gzip
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

from texlens.core.errors import DataError, LatexError
from texlens.latex.canonical.form import canonical
from texlens.latex.generate.alphabet import ALL, Alphabet
from texlens.latex.generate.random_formulas import RandomFormulas
from texlens.latex.generate.recombine import Recombiner
from texlens.latex.handwriting.writer import writable
from texlens.latex.layout.formula import layout
from texlens.latex.parse.tokens import tokenize
from texlens.synthesis.weights import learned_alphabet, restricted

Origin = Literal["grammar", "pieces", "list"]
MAX_LEARNED_FROM = 5_000
"""Maximum number of formulas of a list, sampled by the seed, that weights and pieces are learned from."""
_TRIES = 200


class FormulaSource(Protocol):
    """`sample` depends on the generator and the row's number alone."""

    def sample(self, rng: random.Random, number: int) -> str: ...


class Grammar:
    """Formulas of a random grammar; `alphabet` weighs its symbols and shapes."""

    def __init__(self, alphabet: Alphabet, min_tokens: int, max_tokens: int):
        self.formulas, self.min_tokens, self.max_tokens = RandomFormulas(alphabet), min_tokens, max_tokens

    def sample(self, rng: random.Random, number: int) -> str:
        """Short ones are likelier: the lengths follow a triangle whose peak is a quarter of the way up."""
        peak = self.min_tokens + (self.max_tokens - self.min_tokens) / 4
        for _ in range(_TRIES):
            label = self.formulas.sample(rng, round(rng.triangular(self.min_tokens, self.max_tokens, peak)))
            if label.count(" ") + 1 >= self.min_tokens:
                return label
        raise DataError(f"the grammar made no formula of {self.min_tokens} tokens or more; lower --min-tokens")


class Pieces:
    """Formulas of a list with pieces of one another; their lengths follow the list's."""

    def __init__(self, labels: Sequence[str], min_tokens: int, max_tokens: int):
        self.recombiner, self.min_tokens, self.max_tokens = Recombiner(labels), min_tokens, max_tokens

    def sample(self, rng: random.Random, number: int) -> str:
        for _ in range(_TRIES):
            label = self.recombiner.sample(rng, self.max_tokens)
            if label.count(" ") + 1 >= self.min_tokens:
                return label
        raise DataError(f"the list's pieces gave no formula of {self.min_tokens} tokens or more; lower --min-tokens")


class Listed:
    """The formulas of a list: each once, in an order shuffled by `seed`, before any repeats."""

    def __init__(self, labels: Sequence[str], seed: int):
        self.labels, self.seed = labels, seed

    def sample(self, rng: random.Random, number: int) -> str:
        turn, index = divmod(number, len(self.labels))
        return self.labels[_order(len(self.labels), f"{self.seed} {turn}")[index]]


def formula_source(
    origin: Origin, labels: Sequence[str], *, min_tokens: int, max_tokens: int, seed: int, by_hand: bool = False
) -> FormulaSource:
    """`labels` are what `read_labels` gave; empty for the grammar with its own weights.

    Args:
        by_hand: only symbols that have strokes (only a grammar can guarantee that).
    """
    if origin == "list":
        return Listed(labels, seed)
    if origin == "pieces":
        return Pieces(labels, min_tokens, max_tokens)
    alphabet = learned_alphabet(labels) if labels else ALL
    return Grammar(restricted(alphabet, writable_symbols()) if by_hand else alphabet, min_tokens, max_tokens)


def read_labels(path: Path, origin: Origin, *, min_tokens: int, max_tokens: int, seed: int) -> list[str]:
    """The formulas of a list, one a line (plain or gzip), of as many tokens as wanted.

    To learn from, they are put in canonical form; those that do not parse are left out, and at most `MAX_LEARNED_FROM`
    are drawn.

    Raises:
        DataError: no such file, not UTF-8, or no formula left.
    """
    lines = list(dict.fromkeys(line.strip() for line in _lines(path) if line.strip()))
    if origin == "list":
        formulas = [line for line in lines if min_tokens <= len(tokenize(line)) <= max_tokens]
    else:
        if len(lines) > MAX_LEARNED_FROM:
            lines = random.Random(f"{seed} learnt").sample(lines, MAX_LEARNED_FROM)
        forms = [canonical(line) for line in lines]
        formulas = [" ".join(form.tokens) for form in forms if form.problem is None and form.tokens]
    if not formulas:
        raise DataError(
            f"{path}: no formula of {min_tokens} to {max_tokens} tokens among {len(lines):,} lines; write one a line"
        )
    return formulas


def _lines(path: Path) -> list[str]:
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8").splitlines()
    except FileNotFoundError:
        raise DataError(f"{path}: no such list of formulas; give a text file with one formula a line") from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: can't be read as UTF-8 text ({error}); save it as UTF-8") from None


@cache
def writable_symbols() -> frozenset[str]:
    """The grammar's tokens that have strokes; commands that only arrange count as writable."""
    return frozenset(word for word in RandomFormulas(ALL).vocabulary() if _is_writable(word))


def _is_writable(word: str) -> bool:
    if word.startswith(("\\left", "\\right")) and "arrow" not in word:
        word = word.removeprefix("\\left").removeprefix("\\right")
    if word in (".", "{", "}", "\\"):
        return True
    for formula in (word, f"{word} {{ x }}", f"{word} ( x", f"{word} {{ x }} {{ y }}"):
        try:
            return writable(layout(formula))
        except LatexError:
            continue
    return True


@cache
def _order(count: int, key: str) -> list[int]:
    order = list(range(count))
    random.Random(key).shuffle(order)
    return order
