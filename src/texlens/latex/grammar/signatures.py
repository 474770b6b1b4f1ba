r"""The arguments of every command that the parser knows, one letter each.

| letter | argument |
|---|---|
| m | math: a group in braces, a symbol, or a command with its own arguments |
| t, T | text: a group in braces or a letter; T braces only |
| r | source text in braces (a length, a name) |
| k | a length in braces, or without (which are symbols to the automaton) |
| L | a length without braces |
| d | a delimiter |
| C | column letters in braces |
| x | rows of cells in braces |
| A | the letter under a text accent |
| o, R, s | optional: math in brackets, source text in brackets, a star |
| N | two columns in braces: `{1-2}` |
| p | optional: `[t]`, `[b]` or `[c]`, before braces that must follow |
"""

from texlens.latex.parse import symbols as sym
from texlens.latex.parse.commands import COMMANDS
from texlens.latex.parse.symbol_nodes import SYMBOL_NODES

OPTIONAL = frozenset("oRsp")
NOT_GENERATED = frozenset(["\\sideset", "\\ce", "\\middle", "\\begin"])
"""Commands that the parser reads but constrained decoding does not write as plain commands."""
_BY_HAND = {
    "mm": r"\frac \dfrac \tfrac \nicefrac \sfrac \binom \dbinom \tbinom \overset \underset \stackunder",
    "Rmm": r"\cfrac",
    "rrrrmm": r"\genfrac",
    "om": r"\sqrt",
    "omm": r"\stackrel",
    "sm": r"\operatorname",
    "m": r"\operatornamewithlimits \mathop \not \boxed \slashed \textsuperscript \textsubscript \ensuremath \vcenter "
    r"\lefteqn \pmod \mod \pod \bra \ket \abs \norm \braket \set \Bra \Ket \Braket \Set \cancel \bcancel \xcancel",
    "mmmm": r"\mathchoice",
    "Rm": r"\smash",
    "sr": r"\hspace",
    "sk": r"\hskip \kern \mkern \mskip \mspace",
    "Lm": r"\raise \lower",
    "rRRt": r"\raisebox",
    "Rrr": r"\rule",
    "Rrm": r"\textcolor \href",
    "Rrt": r"\colorbox",
    "Rrrt": r"\fcolorbox",
    "r": r"\ref \eqref",
    "Rr": r"\cite",
    "rrm": r"\resizebox",
    "rm": r"\scalebox",
    "st": r"\tag",
    "t": r"\fbox",
    "T": r"\makebox \framebox \hbox",
    "rCm": r"\multicolumn",
    "": r"\dots \vline \qed \qedhere \eqno \leqno",
}
_WITH_OPTION = frozenset(["\\linebreak", "\\nolinebreak", "\\pagebreak", "\\nopagebreak", "\\displaybreak"])
_WITH_OPTION |= {"\\allowdisplaybreaks", "\\color", "\\MoveEqLeft"}
STRUCTURAL = frozenset(["\\left", "\\mleft", "\\root", "\\buildrel", "\\intertext", "\\shortintertext"])
"""Commands that open a frame of their own, or stand at the start of a row only."""


def _signatures() -> dict[str, str]:
    table = {command: signature for signature, names in _BY_HAND.items() for command in names.split()}
    for command, count in sym.IGNORED.items():
        table[command] = "s" + "R" * (command in _WITH_OPTION) + "r" * count
    table |= dict.fromkeys(sym.TEXT_COMMANDS, "t")
    table |= dict.fromkeys(sym.PLAIN_MATRICES, "x")
    for commands in (sym.ACCENTS, sym.WIDE_ACCENTS, sym.OVER, sym.UNDER, sym.FONT_COMMANDS):
        for command in commands:
            table[command] = "RRm" if command.endswith("bracket") else "m"
    table |= dict.fromkeys(sym.ARROWS, "om")
    table |= dict.fromkeys(sym.BIG, "d")
    table |= dict.fromkeys(sym.DECORATED_LIMITS, "")
    table |= {f"\\math{atom}": "m" for atom in ("ord", "bin", "rel", "open", "close", "punct", "inner")}
    for command in (*("\\phantom", "\\hphantom", "\\vphantom", "\\rlap", "\\llap", "\\clap"),):
        table[command] = "m"
    table |= dict.fromkeys(("\\mathrlap", "\\mathllap", "\\mathclap"), "m")
    return table


SIGNATURES = _signatures()
UNKNOWN = frozenset(COMMANDS) - frozenset(SIGNATURES) - STRUCTURAL - NOT_GENERATED
"""Commands of the parser that this table lacks: none (a test checks it)."""

DIVISIONS = {
    "\\over": "",
    "\\atop": "",
    "\\above": "",
    "\\choose": "",
    "\\brace": "",
    "\\brack": "",
    "\\overwithdelims": "dd",
    "\\atopwithdelims": "dd",
    "\\abovewithdelims": "dd",
}
ENVIRONMENTS: dict[str, str] = {}
for _name in sym.ENVIRONMENTS:
    if _name in ("tabular", "cases*", "dcases*", "rcases*", "drcases*"):
        continue  # text cells
    if _name.startswith("IEEE"):
        ENVIRONMENTS[_name] = "RC"
    elif sym.ENVIRONMENTS[_name][2] == "":
        ENVIRONMENTS[_name] = "pC"
    else:
        ENVIRONMENTS[_name] = "r" if "alignat" in _name or _name == "alignedat" else ""
ENVIRONMENTS |= dict.fromkeys(sym.TRANSPARENT_ENVIRONMENTS, "")
_COMMAND_SYMBOLS = frozenset(token for token in SYMBOL_NODES if token[0] == "\\")
COMMAND_NAMES = (
    (frozenset(SIGNATURES) | _COMMAND_SYMBOLS | STRUCTURAL | frozenset(DIVISIONS) | frozenset(sym.TEXT_ACCENTS))
    | frozenset(token for token in sym.DELIMITERS if token[0] == "\\")
    | frozenset(
        ["\\right", "\\mright", "\\middle", "\\begin", "\\end", "\\of", "\\limits", "\\nolimits", "\\displaylimits"]
    )
    | frozenset(["\\\\", "\\cr", "\\hline", "\\cline", "\\sp", "\\sb", "\\tabularnewline", "\\hdashline"])
    | frozenset(["\\toprule", "\\midrule", "\\bottomrule", "\\[", "\\]", "\\(", "\\)", "\\ "])
) - NOT_GENERATED | {"\\begin", "\\middle"}
"""Every command that constrained decoding may write."""
