r"""Formulas with the commands that LaTeX_OCR's rows seldom or never show, each at a floor frequency.

`RareCommands(fill).sample(rng, 30)` puts one to three of them among pieces that `fill(rng, tokens)` writes. Of several
commands with one look only one is ever written.
"""

import random
from itertools import accumulate

from pretraining.wide.words import Fill
from texlens.latex.generate.alphabet import ALL, LATIN, SAME_LOOK, words
from texlens.latex.parse import symbols as sym

_LOOKALIKES = frozenset(
    words(
        r"""\omicron \Alpha \Beta \Epsilon \Zeta \Eta \Iota \Kappa \Mu \Nu \Omicron \Rho \Tau \Chi \lbar \colon \ldotp
        \cdotp \bigcirc \minuso \smallint \mathdollar \Vert \backslash \textbackslash \slash \vert \degree \And \& \_
        \dotplus \vcentcolon \ratio \sun \astrosun \earth \male \female \lightning \quarternote \eighthnote \interleave
        \fatsemi \obar \odiv \ocircle \upmodels \bigtimes \bigsqcap \circledR \copyright \euro \cent \yen \pounds
        \texteuro \complement \eth \AA \aa \ae \AE \oe \OE \ss \H \varpropto \Bbbk \reals \R \Reals \N \Z \Q
        \Complex \cnums \natnums \real \image \j \P \mathsterling \textasciitilde \textasciicircum \textdegree
        \varGamma \varDelta \varTheta \varLambda \varXi \varPi \varSigma \varUpsilon \varPhi \varPsi \varOmega
        \backprime \Game \Finv \circledS \maltese \doublebarwedge \ddag"""
    )
)
"""Looks like another symbol, or no mathematics."""
FAVORITES = words(
    r"""\Longrightarrow \Longleftarrow \longleftarrow \hookleftarrow
    \setminus \leqslant \geqslant \subseteq \supseteq \cong \lesssim \gtrsim \exists \notin \emptyset \varnothing
    \hookrightarrow \longmapsto \leftarrow \Leftarrow \coloneqq \triangleq \preceq \succeq \prec \succ \asymp \models
    \vdash \top \bot \neg \aleph \square \supset \ni \iint \iiint \bigoplus \bigotimes \bigcap \bigvee \bigwedge
    \coprod \bigsqcup \odot \ominus \sqcup \sqcap \uplus \rightharpoonup \rightleftharpoons \leadsto \nearrow
    \swarrow \updownarrow \therefore \because \angle \ddagger \lll \nmid \nsubseteq \subsetneq \trianglelefteq \ltimes
    \rtimes \boxtimes \div \amalg \wr \diamond \sharp \flat \natural \complement \blacksquare \bigstar \varkappa
    \sqsubseteq \dashv \bowtie \frown \smile \hslash \mho \twoheadrightarrow \rightrightarrows \upharpoonright"""
)
"""Drawn more often than the other symbols."""


def rare_symbols() -> tuple[str, ...]:
    """One command for each look among the drawing engine's symbols that the alphabet of `random_formulas` lacks."""
    known = {*ALL.greek, *ALL.others, *ALL.binary, *ALL.relations, *ALL.operators, *ALL.punctuation, *SAME_LOOK}
    looks = {sym.SYMBOLS[token][0] for token in known if token in sym.SYMBOLS}
    chosen: dict[str, str] = {}
    for token in (*FAVORITES, *sym.SYMBOLS):
        character, atom = sym.SYMBOLS[token]
        skipped = not token.startswith("\\") or token in _LOOKALIKES or atom in ("open", "close", "punct")
        if not skipped and character not in looks and character.isprintable() and len(character) == 1:
            chosen.setdefault(character, token)
    return tuple(chosen.values())


FUNCTIONS = tuple(sorted((sym.FUNCTIONS | set(sym.LIMIT_FUNCTIONS)) - {"\\tr", "\\tg", "\\th", "\\sh", "\\ch"}))
LIMITS = ("\\sup", "\\inf", "\\max", "\\min", "\\lim", "\\limsup", "\\liminf", "\\Pr", "\\arg \\min", "\\arg \\max",
          "\\gcd", "\\det")  # fmt: skip
_BLACKBOARD = tuple("RRRRNNZZQCCEEPFKHSTABDGLMOUVX")
_GREEK_BOLD = words(r"\alpha \beta \gamma \delta \theta \lambda \mu \sigma \omega \Sigma \Omega \Phi \xi \phi \epsilon")
_TALL = (("\\left\\|", "\\right\\|"), ("\\left\\lfloor", "\\right\\rfloor"), ("\\left\\lceil", "\\right\\rceil"))
_LOW = (("\\|", "\\|"), ("\\|", "\\|"), ("\\lfloor", "\\rfloor"), ("\\lceil", "\\rceil"))
_ARROWS = words(r"\xrightarrow \xrightarrow \xrightarrow \xleftarrow \xleftrightarrow \xRightarrow")
_ACCENTS = words(r"\grave \mathring \dddot \check \breve \acute \ddot")
_STRETCHED = words(
    r"\overrightarrow \overleftarrow \overbrace \underbrace \underline \overline \widehat \widetilde \underbracket"
)


class RareCommands:
    """One method for each kind of construction; `kinds` weighs them."""

    def __init__(self, fill: Fill):
        self.fill = fill
        favorites = frozenset(FAVORITES)
        self.symbols = rare_symbols()
        self._symbol_weights = list(accumulate(4.0 if token in favorites else 1.0 for token in self.symbols))
        self.kinds = {
            self.symbol: 26, self.alphabet: 20, self.bold: 6, self.limit: 9, self.function: 7, self.fence: 9,
            self.tall_fence: 4, self.binomial: 4, self.arrow: 4, self.stacked: 6, self.stretched: 5, self.accent: 2,
            self.root: 3, self.substack: 1.5, self.boxed: 1, self.negated: 1.5,
        }  # fmt: skip
        self._kinds, self._kind_weights = list(self.kinds), list(accumulate(self.kinds.values()))

    def sample(self, rng: random.Random, target_tokens: int) -> str:
        """A formula of about so many tokens."""
        count = rng.choice((1, 1, 2, 2, 3))
        spare = max(2, (target_tokens - 6 * count) // (count + 1))
        parts = [self._piece(rng, spare)]
        for _ in range(count):
            parts += [self._placed(rng), self._piece(rng, spare)]
        return " ".join(part for part in parts if part)

    def _piece(self, rng: random.Random, spare: int) -> str:
        return self.fill(rng, rng.randint(1, spare)) if rng.random() < 0.8 else ""

    def _placed(self, rng: random.Random) -> str:
        """A construction on the line or, now and then, within another one."""
        construct = rng.choices(self._kinds, cum_weights=self._kind_weights)[0](rng)
        roll = rng.random()
        if roll < 0.72:
            return construct
        if roll < 0.8:
            return f"{rng.choice(LATIN)} _ {{ {construct} }}"
        if roll < 0.86:
            return f"{rng.choice(LATIN)} ^ {{ {construct} }}"
        other = self.fill(rng, rng.randint(1, 6))
        if roll < 0.93:
            return f"\\frac {{ {construct} }} {{ {other} }}"
        return f"\\frac {{ {other} }} {{ {construct} }}"

    def _scripts(self, rng: random.Random, chance: float = 0.4) -> str:
        text = ""
        for script in "_^":
            if rng.random() < chance:
                text += f" {script} {{ {self.fill(rng, rng.choice((1, 1, 1, 2, 3)))} }}"
        return text

    def symbol(self, rng: random.Random) -> str:
        token = rng.choices(self.symbols, cum_weights=self._symbol_weights)[0]
        atom = sym.SYMBOLS[token][1]
        if atom == "op":
            return token + self._scripts(rng, 0.6)
        return f"{rng.choice(LATIN)} {token} {rng.choice(LATIN)}" if atom in ("rel", "bin") else token

    def alphabet(self, rng: random.Random) -> str:
        name = rng.choice(("\\mathbb", "\\mathbb", "\\mathbb", "\\mathfrak", "\\mathfrak", "\\mathscr", "\\mathscr"))
        letter = rng.choice(_BLACKBOARD if name == "\\mathbb" else LATIN if name == "\\mathfrak" else LATIN[26:])
        return f"{name} {{ {letter} }}" + self._scripts(rng)

    def bold(self, rng: random.Random) -> str:
        letter = rng.choice(LATIN) if rng.random() < 0.6 else rng.choice(_GREEK_BOLD)
        return f"\\boldsymbol {{ {letter} }}" + self._scripts(rng)

    def limit(self, rng: random.Random) -> str:
        return f"{rng.choice(LIMITS)} _ {{ {self.fill(rng, rng.randint(1, 6))} }} {rng.choice(LATIN)}"

    def function(self, rng: random.Random) -> str:
        name = rng.choice(FUNCTIONS)
        power = f" ^ {{ {rng.choice('23n')} }}" if rng.random() < 0.15 and name in sym.FUNCTIONS else ""
        argument = self.fill(rng, rng.randint(1, 5))
        return f"{name}{power} ( {argument} )" if rng.random() < 0.5 else f"{name}{power} {rng.choice(LATIN)}"

    def fence(self, rng: random.Random) -> str:
        opening, closing = rng.choice(_LOW)
        return f"{opening} {self.fill(rng, rng.randint(1, 6))} {closing}" + self._scripts(rng, 0.3)

    def tall_fence(self, rng: random.Random) -> str:
        opening, closing = rng.choice(_TALL)
        above, below = self.fill(rng, rng.randint(1, 4)), self.fill(rng, rng.randint(1, 4))
        return f"{opening} \\frac {{ {above} }} {{ {below} }} {closing}" + self._scripts(rng, 0.3)

    def binomial(self, rng: random.Random) -> str:
        above, below = self.fill(rng, rng.randint(1, 3)), self.fill(rng, rng.randint(1, 3))
        return f"\\binom {{ {above} }} {{ {below} }}"

    def arrow(self, rng: random.Random) -> str:
        return (
            f"{rng.choice(LATIN)} {rng.choice(_ARROWS)} {{ {self.fill(rng, rng.randint(1, 4))} }} {rng.choice(LATIN)}"
        )

    def stacked(self, rng: random.Random) -> str:
        name = rng.choice(("\\underset", "\\underset", "\\stackrel"))
        if name == "\\stackrel":
            return f"\\stackrel {{ {self.fill(rng, rng.randint(1, 3))} }} {{ {rng.choice(ALL.relations)} }}"
        body = rng.choice(("\\sup", "\\max", "\\min", "=", "\\rightarrow", rng.choice(LATIN), "\\operatorname"))
        if body == "\\operatorname":
            body = "\\mathrm { " + " ".join(rng.choice(LATIN[:26]) for _ in range(rng.randint(2, 5))) + " }"
        if body.startswith(("\\sup", "\\max", "\\min")):
            return f"{body} _ {{ {self.fill(rng, rng.randint(1, 4))} }}"
        return f"\\underset {{ {self.fill(rng, rng.randint(1, 3))} }} {{ {body} }}"

    def stretched(self, rng: random.Random) -> str:
        name, body = rng.choice(_STRETCHED), self.fill(rng, rng.randint(2, 6))
        if name.endswith(("brace", "bracket")) and rng.random() < 0.7:
            script = "^" if name.startswith("\\over") else "_"
            return f"{name} {{ {body} }} {script} {{ {self.fill(rng, rng.randint(1, 3))} }}"
        if name in ("\\widehat", "\\widetilde"):
            body = " ".join(rng.choice(LATIN) for _ in range(rng.randint(1, 3)))
        return f"{name} {{ {{ {body} }} }}" if name in ("\\overline", "\\underline") else f"{name} {{ {body} }}"

    def accent(self, rng: random.Random) -> str:
        return f"{rng.choice(_ACCENTS)} {{ {rng.choice(LATIN)} }}" + self._scripts(rng, 0.2)

    def root(self, rng: random.Random) -> str:
        return f"\\sqrt [ {rng.choice('34567nmkp')} ] {{ {self.fill(rng, rng.randint(1, 6))} }}"

    def substack(self, rng: random.Random) -> str:
        first, second = self.fill(rng, rng.randint(1, 4)), self.fill(rng, rng.randint(1, 4))
        name = rng.choice(("\\sum", "\\prod", "\\max", "\\min", "\\bigcup"))
        return f"{name} _ {{ \\substack {{ {first} \\\\ {second} }} }} {rng.choice(LATIN)}"

    def boxed(self, rng: random.Random) -> str:
        return f"\\boxed {{ {self.fill(rng, rng.randint(1, 8))} }}"

    def negated(self, rng: random.Random) -> str:
        relation = rng.choice(("\\subset", "\\equiv", "\\rightarrow", "\\Rightarrow", "\\sim"))
        return f"{rng.choice(LATIN)} \\not {relation} {rng.choice(LATIN)}"
