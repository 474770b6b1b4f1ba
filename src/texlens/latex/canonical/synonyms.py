r"""Synonyms: the token that canonical form uses for each.

Only true synonyms are listed, which TeX draws with the same glyph. Look-alikes that TeX draws apart stay apart, even
where a font has one glyph for both (`\emptyset` and `\varnothing`, `\cal` and `\mathscr`).
"""

from texlens.latex.parse import symbols as sym
from texlens.latex.parse.alphabets import styled


def _pairs(text: str) -> dict[str, str]:
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


SYNONYMS = _pairs(
    r"""
    \le \leq \ge \geq \ne \neq \lt < \gt > \to \rightarrow \gets \leftarrow \owns \ni \land \wedge \lor \vee \lnot \neg
    \vert | \Vert \| \lbrace \{ \rbrace \} \lbrack [ \rbrack ] \doublecap \Cap \doublecup \Cup \Doteq \doteqdot
    \llless \lll \gggtr \ggg \restriction \upharpoonright \square \Box \lozenge \Diamond \leadsto \rightsquigarrow
    \infin \infty \empty \emptyset \exist \exists \real \Re \image \Im \sub \subset \supe \supseteq \sube \subseteq
    \isin \in \harr \leftrightarrow \larr \leftarrow \rarr \rightarrow \lArr \Leftarrow \rArr \Rightarrow
    \hArr \Leftrightarrow \Larr \Leftarrow \Rarr \Rightarrow \Harr \Leftrightarrow \thetasym \vartheta
    \lang \langle \rang \rangle \textellipsis \ldots \mathellipsis \ldots \hdots \ldots \dotsc \ldots \dotso \ldots
    \dotsb \cdots \dotsm \cdots \dotsi \cdots \ointop \oint \idotsint \idotsint \plus + \minus - * \ast
    \textdegree \degree \texteuro \euro \mathdollar \$ \mathsection \S \mathparagraph \P \mathsterling \pounds
    \textbackslash \backslash \textbar | \lbar | \textperiodcentered \cdotp \ratio \vcentcolon \doublebar \|
    \coloneq \coloneqq \eqcolon \eqqcolon \rightleftharpoon \rightleftharpoons \leftrightharpoon \leftrightharpoons
    \llangle \llangle \lBrack \llbracket \rBrack \rrbracket \circledcirc \circledcirc \ocircle \circledcirc \slash /
    \Hat \hat \Tilde \tilde \Bar \bar \Vec \vec \Dot \dot \Ddot \ddot \Check \check \Breve \breve \Acute \acute
    \Grave \grave \' \acute \" \ddot \` \grave \u \breve \v \check \= \bar \^ \hat \. \dot
    \upalpha \alpha \upbeta \beta \upgamma \gamma \updelta \delta \upmu \mu \uppi \pi \upsigma \sigma \uptau \tau
    \upphi \varphi \upomega \omega \overparen \wideparen \bwidehat \widehat
    """
)
for _look_alike in [
    "\\upalpha",
    "\\upbeta",
    "\\upgamma",
    "\\updelta",
    "\\upmu",
    "\\uppi",
    "\\upsigma",
    "\\uptau",
    "\\upphi",
    "\\upomega",
    "\\bwidehat",
]:
    del SYNONYMS[_look_alike]
# Same glyph, another class of atom: taken where the gaps around stay what they are to within a thin space.
RECLASSED = {"\\lvert": "|", "\\rvert": "|", "\\lVert": "\\|", "\\rVert": "\\|"}
RECLASSED |= {"\\dagger": "\\dag", "\\ddagger": "\\ddag"}
DOTS = "\\dots"
LETTERLIKE = {"\\R": "R", "\\Reals": "R", "\\reals": "R", "\\N": "N", "\\natnums": "N", "\\Z": "Z", "\\Q": "Q"}
LETTERLIKE |= {"\\Complex": "C", "\\cnums": "C"}

# Functions that LaTeX with amsmath has a name for; the others are written out.
FUNCTIONS = frozenset(
    [
        "arccos",
        "arcsin",
        "arctan",
        "arg",
        "cos",
        "cosh",
        "cot",
        "coth",
        "csc",
        "deg",
        "dim",
        "exp",
        "hom",
        "ker",
        "lg",
        "ln",
        "log",
        "sec",
        "sin",
        "sinh",
        "tan",
        "tanh",
    ]
)
LIMIT_FUNCTIONS = frozenset(["det", "gcd", "inf", "lim", "max", "min", "sup", "Pr"])

_PREFERRED_DELIMITERS = [
    r"(",
    r")",
    r"[",
    r"]",
    r"\{",
    r"\}",
    r"|",
    r"\|",
    r"/",
    r"\backslash",
    r"\langle",
    r"\rangle",
    r"\lfloor",
    r"\rfloor",
    r"\lceil",
    r"\rceil",
    r"\uparrow",
    r"\downarrow",
    r"\updownarrow",
    r"\Uparrow",
    r"\Downarrow",
    r"\Updownarrow",
    r"\lgroup",
    r"\rgroup",
    r"\lmoustache",
    r"\rmoustache",
    r"\ulcorner",
    r"\urcorner",
    r"\llcorner",
    r"\lrcorner",
    r"\llbracket",
    r"\rrbracket",
    r"\llangle",
    r"\rrangle",
    r".",
]
_BY_CHARACTER = {sym.DELIMITERS[token]: token for token in reversed(_PREFERRED_DELIMITERS)}
# every token or character after \left → its canonical token
DELIMITERS = {token: _BY_CHARACTER.get(character, token) for token, character in sym.DELIMITERS.items()}
DELIMITERS |= {character: token for character, token in _BY_CHARACTER.items() if character}

# alphabet and weight → the commands that choose it, for letters that it changes
FONTS: dict[tuple[str, bool], tuple[str, ...]] = {
    ("rm", False): ("\\mathrm",),
    ("bf", False): ("\\mathbf",),
    ("", True): ("\\boldsymbol",),
    ("cal", False): ("\\mathcal",),
    ("scr", False): ("\\mathscr",),
    ("bb", False): ("\\mathbb",),
    ("frak", False): ("\\mathfrak",),
    ("sf", False): ("\\mathsf",),
    ("tt", False): ("\\mathtt",),
    ("it", False): ("\\mathit",),
    ("cal", True): ("\\boldsymbol", "\\mathcal"),
    ("scr", True): ("\\boldsymbol", "\\mathscr"),
    ("frak", True): ("\\boldsymbol", "\\mathfrak"),
    ("sf", True): ("\\boldsymbol", "\\mathsf"),
}
_SAME_STATE = {("rm", True): ("bf", False), ("bf", True): ("bf", False), ("bfcal", False): ("cal", True)}
_SAME_STATE |= {("bfcal", True): ("cal", True), ("bb", True): ("bb", False), ("normal", True): ("", True)}
_SAME_STATE |= {("it", True): ("", True), ("tt", True): ("tt", False), ("normal", False): ("it", False)}


def font_of(character: str, alphabet: str, bold: bool) -> tuple[str, ...]:
    r"""The font commands to put around a character so that it is drawn as in a font state; () where none is needed.

    `\mathit` and `\boldsymbol` are kept where TeX's own fonts show them, even if the Unicode character is the same.
    """
    if len(character) != 1 or (alphabet in ("", "normal") and not bold and character not in "ΓΔΘΛΞΠΣΥΦΨΩ"):
        return ()
    if alphabet == "normal" and not bold and character in "ΓΔΘΛΞΠΣΥΦΨΩ":
        return ("\\mathit",)
    if alphabet == "frak" and character.isdecimal():
        return ("\\mathfrak",)  # TeX has digits of its own there, our fonts have none
    drawn = styled(character, alphabet, bold)
    if drawn == styled(character, "", False):
        if bold and not character.isspace():
            return ("\\boldsymbol",)
        return ("\\mathit",) if alphabet == "it" and character.isalnum() and character.isascii() else ()
    state = (alphabet, bold)
    for known in (("bf", False), _SAME_STATE.get(state, state), ("", True)):
        if known in FONTS and styled(character, *known) == drawn:
            return FONTS[known]
    return ()


def _by_character() -> dict[str, tuple[str, tuple[str, ...]]]:
    """A character typed as itself → the token that draws it and its font commands."""
    table: dict[str, tuple[str, tuple[str, ...]]] = {}
    for token, (character, _) in sym.SYMBOLS.items():
        if len(character) == 1 and not character.isascii():
            table.setdefault(character, (SYNONYMS.get(token, token), ()))
    for (alphabet, bold), commands in FONTS.items():
        for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789":
            drawn = styled(letter, alphabet, bold)
            if not drawn.isascii() and alphabet not in ("scr", "it"):
                table[drawn] = (letter, commands)
    for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ":
        table[styled(letter, "", False)] = (letter, ())
    for token, (character, _) in sym.SYMBOLS.items():
        drawn = styled(character, "", False) if len(character) == 1 else character
        if drawn != character and drawn not in table:
            table[drawn] = (token, ())
    return table


TYPED = _by_character()
