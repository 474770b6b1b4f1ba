"""The four styles by name."""

import random
from collections.abc import Callable, Mapping

from texlens.data.synth.drawn import Drawn
from texlens.data.synth.hand import handwriting
from texlens.data.synth.photo import photo
from texlens.data.synth.printed import printed
from texlens.data.synth.screen import screen

STYLES: Mapping[str, Callable[[str, random.Random], Drawn]] = {
    "printed": printed,
    "handwriting": handwriting,
    "screen": screen,
    "photo": photo,
}
"""Each draws a label, and raises LatexError where it can't."""
