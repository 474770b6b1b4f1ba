"""Made-up rows: a formula, a picture of it in one of four styles, and an account of how each was made."""

from texlens.synthesis.formulas import read_labels
from texlens.synthesis.rows import Maker, Recipe
from texlens.synthesis.styles import STYLES
from texlens.synthesis.write import made_by, synthesize

__all__ = ["STYLES", "Maker", "Recipe", "made_by", "read_labels", "synthesize"]
