"""Synthetic rows: a formula, its picture in one of four styles, and columns that say how it was generated."""

from texlens.synthesis.formulas import read_labels
from texlens.synthesis.rows import Recipe, SampleGenerator
from texlens.synthesis.styles import STYLES
from texlens.synthesis.write import recipe_key, synthesize

__all__ = ["STYLES", "Recipe", "SampleGenerator", "read_labels", "recipe_key", "synthesize"]
