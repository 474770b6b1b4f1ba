r"""What generated formulas are made of, and which spellings look the same: tables only."""

from collections.abc import Mapping
from dataclasses import dataclass, field


def words(text: str) -> tuple[str, ...]:
    """The words of a table, split at white space."""
    return tuple(text.split())


LATIN = tuple("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
DIGITS = tuple("0123456789")

SAME_LOOK: dict[str, str] = {
    "\\to": "\\rightarrow", "\\ne": "\\neq", "\\le": "\\leq", "\\ge": "\\geq", "\\dag": "\\dagger", "\\ast": "*",
    "\\vert": "|", "\\mid": "|", "\\|": "\\parallel", "\\Vert": "\\parallel", "\\dots": "\\ldots", "\\bot": "\\perp",
    "\\land": "\\wedge", "\\lbrack": "[", "\\rbrack": "]", "\\lbrace": "\\{", "\\rbrace": "\\}", "\\slash": "/",
    "\\i": "\\imath", "\\bigtriangleup": "\\triangle", "\\cdotp": "\\cdot", "\\mathcal": "\\cal", "\\mathbf": "\\bf",
    "\\textrm": "\\mathrm", "\\sf": "\\mathsf", "\\sp": "^", "\\sb": "_", "\\Bigl": "\\Big", "\\Bigr": "\\Big",
    "\\bigl": "\\big", "\\bigr": "\\big", "\\biggl": "\\bigg", "\\biggr": "\\bigg", "\\Biggl": "\\Bigg",
    "\\Biggr": "\\Bigg", "\\left<": "\\left\\langle", "\\right>": "\\right\\rangle", "\\left\\vert": "\\left|",
    "\\right\\vert": "\\right|", "\\it": "", "\\sl": "", "--": "-", "'": "\\prime",
    "\\begin{matrix}": "\\begin{array}", "\\end{matrix}": "\\end{array}",
}  # fmt: skip
r"""Spelling → the commoner spelling of the same look in LaTeX_OCR ("" where it changes nothing that is seen)."""

UNSEEN = frozenset(
    words(
        r"""\  ~ \, \: \; \! \quad \qquad \enspace \displaystyle \textstyle \scriptstyle \scriptscriptstyle \nonumber
    \boldmath \tiny \scriptsize \footnotesize \small \label \hspace \vspace \hfill \phantom \vphantom \smash"""
    )
) | {"\\"}
r"""Leaves no mark of its own. The lone backslash is how LaTeX_OCR's tokens show the control space `\ `."""

NOT_MADE = frozenset(words(r"\not \put \circle \makebox \fbox \unitlength \d \right/ \begin{cases} \end{cases}"))
"""Drawing commands and rare constructions: only in formulas that `recombine` takes from a list."""


@dataclass(frozen=True)
class Alphabet:
    """What formulas are made of.

    A symbol listed twice is drawn twice as often. `shapes` weighs the structures; one left out is never generated.
    """

    latin: tuple[str, ...] = LATIN
    digits: tuple[str, ...] = DIGITS
    greek: tuple[str, ...] = words(
        r"""\alpha \beta \gamma \delta \epsilon \varepsilon \zeta \eta \theta \vartheta \iota \kappa \lambda \mu \nu \xi
        \pi \varpi \rho \varrho \sigma \varsigma \tau \upsilon \phi \varphi \chi \psi \omega \Gamma \Delta \Theta
        \Lambda \Xi \Pi \Sigma \Upsilon \Phi \Psi \Omega"""
    )
    others: tuple[str, ...] = words(
        r"""\partial \infty \nabla \hbar \ell \wp \imath \jmath \forall \Re \Im \triangle \prime \ldots \cdots \vdots
        \ddots \surd \l \L \o \O \S \bigcirc ! /"""
    )
    binary: tuple[str, ...] = words(
        r"""+ - * \pm \mp \times \cdot \circ \bullet \star \wedge \vee \otimes \oplus \cup \cap \dagger
        \triangleright"""
    )
    relations: tuple[str, ...] = words(
        r"""= < > \leq \geq \neq \equiv \sim \simeq \approx \cong \propto \in \subset \subseteq \ll \gg \rightarrow
        \longrightarrow \leftrightarrow \longleftrightarrow \Rightarrow \Leftrightarrow \Longleftrightarrow \mapsto
        \perp \parallel \doteq \uparrow \downarrow \searrow :"""
    )
    punctuation: tuple[str, ...] = (",", ".", ";")
    functions: tuple[str, ...] = words(
        r"\sin \cos \tan \cot \sinh \cosh \tanh \coth \exp \ln \log \det \dim \min \max \lim"
    )
    limit_functions: tuple[str, ...] = ("\\lim", "\\min", "\\max")
    operators: tuple[str, ...] = ("\\sum", "\\int", "\\prod", "\\oint", "\\bigcup")
    accents: tuple[str, ...] = words(r" \bar \hat \tilde \vec \dot" * 3 + r" \ddot \check \breve \acute")
    wide_accents: tuple[str, ...] = words(
        r"\overline \underline \widetilde \widehat \overrightarrow \underbrace \overbrace"
    )
    fences: tuple[tuple[str, str], ...] = (
        ("(", ")"), ("[", "]"), ("\\{", "\\}"), ("|", "|"), ("\\langle", "\\rangle"), ("\\lfloor", "\\rfloor"),
    )  # fmt: skip
    tall_fences: tuple[tuple[str, str], ...] = (
        ("\\left(", "\\right)"), ("\\left[", "\\right]"), ("\\left\\{", "\\right\\}"), ("\\left|", "\\right|"),
        ("\\left\\langle", "\\right\\rangle"), ("\\left.", "\\right|"), ("\\left\\{", "\\right."),
    )  # fmt: skip
    sizes: tuple[str, ...] = ("\\big", "\\Big", "\\Big", "\\bigg", "\\bigg", "\\Bigg")
    fonts: tuple[str, ...] = words(r" \cal \bf \mathrm" * 4 + r" \mathsf \tt \mit")
    shapes: Mapping[str, float] = field(
        default_factory=lambda: {
            "latin": 20, "digit": 8, "greek": 12, "other": 3.5, "binary": 6, "relation": 5, "punctuation": 1.5,
            "function": 1.5, "scripted": 22, "fraction": 5, "root": 2, "operator": 3.5, "accent": 4, "wide": 2,
            "fence": 4, "tall": 3, "sized": 0.8, "font": 6, "array": 1.2, "stacked": 0.8,
        }
    )  # fmt: skip


ALL = Alphabet()
"""Everything that occurs three times or more in LaTeX_OCR's `full` train rows and leaves a mark."""
