r"""Random formulas that text alone cannot predict: a right reading must come from the image.

`RandomFormulas(ALL).sample(rng, 12)` gives a label in the style of LaTeX_OCR: tokens with one space between them,
braced scripts, `_` before `^`. Of several spellings with one look only the commonest is used (`alphabet.SAME_LOOK`).
"""

import random
from bisect import bisect
from collections.abc import Callable
from itertools import accumulate

from texlens.latex.generate.alphabet import ALL, DIGITS, LATIN, Alphabet

# The fewest tokens that each shape takes; those not named take one.
_COST = {"scripted": 5, "fraction": 7, "root": 4, "operator": 5, "accent": 4, "wide": 6, "fence": 3, "tall": 9}
_COST |= {"sized": 5, "font": 4, "array": 16, "stacked": 7}
_INSIDE_OUT = ("fraction", "operator", "tall", "sized", "array", "stacked", "wide")
_DEEPEST = 3
_MIT = ("\\Gamma", "\\Delta", "\\Theta", "\\Lambda", "\\Xi", "\\Pi", "\\Sigma", "\\Phi", "\\Psi", "\\Omega")
_SANS = tuple(letter for letter in LATIN if letter not in "Il")
_MERGING = ("\\mathrm", "\\mathsf")
"""Two of these side by side look like one."""
_TALL_SHAPES = ("fraction", "operator", "array")


class RandomFormulas:
    """Formulas of about a given number of tokens, every choice independent of its context."""

    def __init__(self, alphabet: Alphabet = ALL):
        self.alphabet = alphabet
        a = alphabet
        singles = {
            "latin": a.latin, "digit": a.digits, "greek": a.greek, "other": a.others, "binary": a.binary,
            "relation": a.relations, "punctuation": a.punctuation, "function": a.functions,
        }  # fmt: skip
        self._singles = {kind: symbols for kind, symbols in singles.items() if symbols and kind in a.shapes}
        self._makers: dict[str, Callable[[random.Random, int, int], list[str]]] = {
            kind: getattr(self, "_wide_accent" if kind == "wide" else f"_{kind}")
            for kind in a.shapes
            if kind not in singles
        }
        self._tables: dict[tuple[int, int], tuple[list[str], list[float]]] = {}
        self._words = frozenset(name[1:] for name in ALL.functions)

    def sample(self, rng: random.Random, target_tokens: int) -> str:
        """A formula of at most `target_tokens` tokens, seldom much fewer."""
        return " ".join(self._row(rng, max(1, target_tokens), 0))

    def vocabulary(self) -> frozenset[str]:
        """Every token that can occur."""
        a = self.alphabet
        words = {word for symbols in self._singles.values() for word in symbols} | {"{", "}", "_", "^"}
        uses = {"accent": a.accents, "wide": a.wide_accents, "operator": a.operators, "sized": a.sizes, "font": a.fonts}
        words |= {word for shape, symbols in uses.items() if shape in a.shapes for word in symbols}
        pairs = {"fence": a.fences, "tall": a.tall_fences}
        words |= {word for shape, fences in pairs.items() if shape in a.shapes for pair in fences for word in pair}
        extra = {
            "fraction": "\\frac", "root": "\\sqrt", "stacked": r"\stackrel \binom \atop",
            "array": r"\begin{array} \end{array} & \\ \left( \right) \left[ \right] \left| \right| \left\{ \right.",
        }  # fmt: skip
        words |= {word for shape, text in extra.items() if shape in a.shapes for word in text.split()}
        return frozenset(words)

    def _row(self, rng: random.Random, budget: int, depth: int) -> list[str]:
        tokens: list[str] = []
        word = ""
        while budget > 0:
            kinds, weights = self._table(min(budget, 24), min(depth, _DEEPEST))
            kind = kinds[bisect(weights, rng.random() * weights[-1])]
            if kind in self._singles:
                tokens.append(rng.choice(self._singles[kind]))
                budget -= 1
                word = ""
            else:
                piece = self._makers[kind](rng, budget, depth)
                if piece[0] in _MERGING and piece[0] == word:
                    continue
                tokens += piece
                budget -= len(piece)
                word = piece[0] if kind == "font" else ""
        return tokens

    def _table(self, budget: int, depth: int) -> tuple[list[str], list[float]]:
        """The shapes that fit a budget at a depth, and their running weights."""
        if (budget, depth) not in self._tables:
            fits = {kind: weight for kind, weight in self.alphabet.shapes.items() if _COST.get(kind, 1) <= budget}
            if depth == _DEEPEST:
                fits = {kind: weight for kind, weight in fits.items() if kind in self._singles or kind == "font"}
            elif depth:
                fits = {kind: weight / (3 * depth if kind in _INSIDE_OUT else 1) for kind, weight in fits.items()}
            self._tables[budget, depth] = list(fits), list(accumulate(fits.values()))
        return self._tables[budget, depth]

    def _letter(self, rng: random.Random) -> str:
        roll = rng.random()
        a = self.alphabet
        if roll < 0.6:
            return rng.choice(a.latin)
        return rng.choice(a.greek if roll < 0.9 else a.digits)

    def _group(self, rng: random.Random, budget: int, depth: int, longest: int = 12) -> list[str]:
        """`{ … }` of at most `budget` tokens with its braces, short ones being likeliest."""
        size = max(1, min(budget - 2, 1 + int(rng.expovariate(0.5)), longest))
        return ["{", *self._row(rng, size, depth + 1), "}"]

    def _base(self, rng: random.Random, budget: int, depth: int) -> list[str]:
        """What a script hangs on: a letter, now and then with an accent, a font or fences."""
        roll = rng.random()
        if budget >= 4 and roll < 0.3:
            for shape, maker in (("accent", 0.1), ("font", 0.2), ("fence", 0.3)):
                if roll < maker and shape in self._makers:
                    return self._makers[shape](rng, budget, depth)
        return [self._letter(rng)]

    def _scripts(self, rng: random.Random, budget: int, depth: int) -> list[str]:
        """`_ { … }`, `^ { … }` or both, in at most `budget` (4 or more) tokens."""
        roll = rng.random()
        if budget >= 8 and roll < 0.34:
            lower = self._group(rng, budget - 5, depth)
            return ["_", *lower, "^", *self._group(rng, budget - 2 - len(lower), depth)]
        if roll > 0.93 and "\\prime" in self._singles.get("other", ()):
            return ["^", "{", "\\prime", "}"]
        return ["_" if roll < 0.67 else "^", *self._group(rng, budget - 1, depth)]

    def _scripted(self, rng: random.Random, budget: int, depth: int) -> list[str]:
        base = self._base(rng, budget - 4, depth)
        return [*base, *self._scripts(rng, budget - len(base), depth)]

    def _fraction(self, rng: random.Random, budget: int, depth: int) -> list[str]:
        spare = min(budget - 7, int(rng.expovariate(0.1)))
        above = rng.randint(0, spare)
        return ["\\frac", *self._sized_group(rng, 1 + above, depth), *self._sized_group(rng, 1 + spare - above, depth)]

    def _sized_group(self, rng: random.Random, size: int, depth: int) -> list[str]:
        return ["{", *self._row(rng, size, depth + 1), "}"]

    def _root(self, rng: random.Random, budget: int, depth: int) -> list[str]:
        return ["\\sqrt", *self._group(rng, budget - 1, depth, 16)]

    def _operator(self, rng: random.Random, budget: int, depth: int) -> list[str]:
        names = self.alphabet.operators
        if self.alphabet.limit_functions and rng.random() < 0.15:
            return [rng.choice(self.alphabet.limit_functions), "_", *self._group(rng, budget - 2, depth)]
        if rng.random() < 0.2:
            return [rng.choice(names)]
        return [rng.choice(names), *self._scripts(rng, budget - 1, depth)]

    def _accent(self, rng: random.Random, budget: int, depth: int) -> list[str]:
        return [rng.choice(self.alphabet.accents), "{", self._letter(rng), "}"]

    def _wide_accent(self, rng: random.Random, budget: int, depth: int) -> list[str]:
        name = rng.choice(self.alphabet.wide_accents)
        if name in ("\\overline", "\\underline") and budget >= 7:
            return [name, "{", "{", *self._row(rng, rng.randint(2, min(5, budget - 5)), _DEEPEST), "}", "}"]
        if name.endswith("brace") and budget >= 10:
            body = self._row(rng, rng.randint(2, min(6, budget - 8)), depth + 1)
            script = "^" if name == "\\overbrace" else "_"
            return [name, "{", *body, "}", script, "{", *self._row(rng, rng.randint(1, 2), _DEEPEST), "}"]
        return [name, "{", self._letter(rng), self._letter(rng), "}"]

    def _fence(self, rng: random.Random, budget: int, depth: int) -> list[str]:
        opening, closing = rng.choice(self.alphabet.fences)
        size = max(1, min(budget - 2, 1 + int(rng.expovariate(0.25))))
        return [opening, *self._row(rng, size, depth + 1), closing]

    def _tall(self, rng: random.Random, budget: int, depth: int) -> list[str]:
        r"""`\left( … \right)`, with something tall inside: around low things it looks like `( … )`."""
        opening, closing = rng.choice(self.alphabet.tall_fences)
        tall = [kind for kind in _TALL_SHAPES if kind in self._makers and _COST[kind] <= budget - 2] or ["fraction"]
        inside = self._makers["fraction" if rng.random() < 0.7 else rng.choice(tall)](rng, budget - 2, depth + 1)
        remaining = max(0, min(budget - 2 - len(inside), int(rng.expovariate(0.25))))
        before = rng.randint(0, remaining)
        left, right = self._row(rng, before, depth + 1), self._row(rng, remaining - before, depth + 1)
        return [opening, *left, *inside, *right, closing]

    def _sized(self, rng: random.Random, budget: int, depth: int) -> list[str]:
        r"""`\Big ( … \Big )`, with nothing tall inside: around tall things it looks like `\left( … \right)`."""
        size = rng.choice(self.alphabet.sizes)
        opening, closing = rng.choice(self.alphabet.fences[:4])
        body = self._row(rng, max(1, min(budget - 4, 1 + int(rng.expovariate(0.25)))), _DEEPEST)
        return [size, opening, *body, size, closing]

    def _font(self, rng: random.Random, budget: int, depth: int) -> list[str]:
        font = rng.choice(self.alphabet.fonts)
        if font == "\\cal":
            return ["{", font, rng.choice(LATIN[26:]), "}"]
        if font == "\\mit":
            return ["{", font, rng.choice(_MIT), "}"]
        if font in ("\\bf", "\\tt"):
            return ["{", font, rng.choice(LATIN + DIGITS if font == "\\bf" else LATIN), "}"]
        letters = LATIN if font == "\\mathrm" else _SANS
        word = [rng.choice(letters) for _ in range(min(budget - 3, 1 + int(rng.expovariate(0.8)), 6))]
        if "".join(word) in self._words:
            word = word[:1]
        return [font, "{", *word, "}"]

    def _array(self, rng: random.Random, budget: int, depth: int) -> list[str]:
        r"""A matrix of up to 3 × 3 small cells in fences, or a left brace before lines."""
        columns = rng.randint(1, 3 if budget >= 45 else 2 if budget >= 24 else 1)
        rows = 3 if budget >= 6 + 13 * columns and rng.random() < 0.5 else 2
        spare = budget - 6 - columns - rows * columns * 4
        cells = rows * columns
        opening, closing = rng.choice((("\\left(", "\\right)"), ("\\left[", "\\right]"), ("\\left|", "\\right|")))
        head, tail = ["\\begin{array}", "{", *["c"] * columns, "}"], "\\end{array}"
        roll = rng.random()
        if roll < 0.2:
            opening, closing, head[2:-1] = "\\left\\{", "\\right.", ["l"] * columns
        tokens = [opening, *head]
        for _ in range(rows):
            for column in range(columns):
                size = 1 + min(max(0, spare) // cells, int(rng.expovariate(0.7)))
                tokens += [*(["&"] if column else []), *self._sized_group(rng, size, max(depth, 1))]
            tokens.append("\\\\")
        return [*tokens, tail, closing]

    def _stacked(self, rng: random.Random, budget: int, depth: int) -> list[str]:
        first, second = self._row(rng, 1 + min(budget - 7, rng.randint(0, 3)), _DEEPEST), [self._letter(rng)]
        name = rng.choice(("\\stackrel", "\\binom", "\\atop"))
        if name == "\\atop":
            return ["{", *first, name, *second, "}"]
        if name == "\\stackrel":
            second = [rng.choice(self.alphabet.relations)]
        return [name, "{", *first, "}", "{", *second, "}"]
