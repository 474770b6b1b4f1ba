"""The four styles by name."""

import random
from collections.abc import Callable, Mapping

from texlens.synthesis.drawn import Drawn
from texlens.synthesis.handwriting import handwriting
from texlens.synthesis.photo import photo
from texlens.synthesis.printed import printed
from texlens.synthesis.screen import screen

STYLES: Mapping[str, Callable[[str, random.Random], Drawn]] = {
    "printed": printed,
    "handwriting": handwriting,
    "screen": screen,
    "photo": photo,
}
"""Each draws a label, and raises LatexError where it can't."""
