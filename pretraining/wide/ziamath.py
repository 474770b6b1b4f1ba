r"""Write formulas typeset by ziamath, whose spaces, scripts and roots are its own, to a parquet for pre-training.

    pip install ziamath
    python -m pretraining.wide.ziamath LATEX_OCR_FOLDER OUT.parquet --fonts FOLDER --rows 4000

It sets any OpenType math font, so the rows have the fonts of which LaTeX_OCR has least: Times-like ones, DejaVu, sans.
Only formulas of commands that it sets as TeX does (`COMMANDS`) are taken; a browser turns its SVG into pixels.
"""

import argparse
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet

from pretraining.corpus import is_held_out
from pretraining.sampler import TRAIN_ROWS
from pretraining.wide.fonts import register
from pretraining.wide.habits import without_small_spaces
from pretraining.wide.katex import kept_cells
from pretraining.wide.mixture import STAGES, WideImages
from texlens.latex.generate.alphabet import words
from texlens.latex.layout.fonts import math_font

SEED = "ziamath 1"
SIZES_PX = (11, 12, 13, 14, 15, 16, 16, 18, 18, 20, 22, 24, 28, 32)
FONTS = {
    "termes": 20, "stix": 16, "charter": 4, "dejavu": 24, "fira": 8, "kp-sans": 5, "bonum": 4, "schola": 4,
    "pagella": 4, "libertinus": 4, "newcm-book": 5, "latin-modern": 2,
}  # fmt: skip
"""Rows of each of them, relative to the others."""
COMMANDS = frozenset(
    words(
        r"""\frac \sqrt \left( \right) \left[ \right] \left\{ \right\} \left| \right| \left. \right. \{ \}
        \langle \rangle \sum \int \prod \oint \partial \nabla \infty \prime \dagger \cdot \times \pm \mp \otimes
        \oplus \wedge \ast \circ \star \leq \geq \neq \equiv \sim \simeq \approx \propto \ll \gg \in \subset
        \rightarrow \leftarrow \Rightarrow \leftrightarrow \longrightarrow \perp \parallel \hbar \ell \Re \Im
        \forall \exists \cdots \ldots \dot \ddot \mathrm \mathcal \mathbb \sin \cos \tan \exp \log \ln \det \lim
        \sinh \cosh \alpha \beta \gamma \delta \epsilon \varepsilon \zeta \eta \theta \iota \kappa \lambda \mu
        \nu \xi \pi \rho \sigma \tau \upsilon \phi \varphi \chi \psi \omega \Gamma \Delta \Theta \Lambda \Xi
        \Pi \Sigma \Phi \Psi \Omega \quad"""
    )
)
"""Accents are left out, which ziamath stretches, and bold letters, which it slants."""
_CELLS = 60
_SWITCH = re.compile(r"\{ \\(cal|rm) ((?:[A-Za-z] )+)\}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("latex_ocr", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--fonts", type=Path, required=True, help="folder of the files that pretraining.wide.fonts names"
    )
    parser.add_argument("--chromium", default="chromium")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--seed", default=SEED)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    files = {name: math_font(name).path for name in register(args.fonts) if name in FONTS}
    images = WideImages(parquet.read_table(args.latex_ocr / TRAIN_ROWS).to_pylist(), {"latin-modern": 1.0}, None)
    rows: list[dict[str, object]] = []
    while len(rows) < args.rows:
        font = rng.choices(list(files), [FONTS[name] for name in files])[0]
        labels = [_label(images, rng) for _ in range(_CELLS)]
        rows += page_rows(labels, files[font], rng.choice(SIZES_PX), args.chromium)
        print(len(rows), flush=True)
    parquet.write_table(arrow.Table.from_pylist(rows[: args.rows]), args.out, compression="zstd")


def _label(images: WideImages, rng: random.Random) -> str:
    while True:
        label = without_small_spaces(images.wide_label(rng, STAGES["wide"]))
        if spelled_for_ziamath(label) and not is_held_out(label):
            return label


def spelled_for_ziamath(label: str) -> str | None:
    r"""The label with alphabets as commands of one argument; None with a command that is not in `COMMANDS`.

    Example:
        spelled_for_ziamath("{ \\cal L } = x") == "\\mathcal { L } = x"
    """
    text = _SWITCH.sub(lambda match: f"\\math{match[1]} {{ {match[2]}}}", label)
    is_known = all(token in COMMANDS for token in text.split() if token.startswith("\\"))
    return text if is_known and "\\sqrt [" not in text and "&" not in text and "~" not in text else None


def page_rows(labels: list[str], font: str, size_px: int, chromium: str) -> Iterator[dict[str, object]]:
    """Rows of the labels that ziamath sets and that fit their cells."""
    import ziamath

    drawings: list[tuple[str, str]] = []
    for label in labels:
        try:
            drawing = ziamath.Latex(spelled_for_ziamath(label), size=size_px, font=font, inline=False).svg()
        except Exception as error:  # noqa: BLE001 - its parser's errors have no base of their own
            print(f"left out, {type(error).__name__}: {label[:60]}", flush=True)
            continue
        drawings.append((label, _with_own_names(drawing, len(drawings))))
    yield from kept_cells(drawings, size_px, size_px, "ziamath", chromium)


def _with_own_names(svg: str, number: int) -> str:
    """Names of glyphs within an SVG hold for the whole page: each drawing gets its own."""
    return re.sub(r'(id="|href="#)', rf"\g<1>z{number}-", svg)


if __name__ == "__main__":
    main()
