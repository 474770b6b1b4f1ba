"""Made-up rows: a formula, a picture of it in one of four styles, and an account of how each was made."""

from texlens.data.synth.formulas import read_labels
from texlens.data.synth.rows import Maker, Recipe
from texlens.data.synth.styles import STYLES
from texlens.data.synth.write import made_by, synthesise

__all__ = ["STYLES", "Maker", "Recipe", "made_by", "read_labels", "synthesise"]
