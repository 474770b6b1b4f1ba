"""Synthetic rows: a formula, its picture in one of four styles, and columns that say how it was generated."""

from texlens.synthesis.formulas import read_labels
from texlens.synthesis.rows import RowRecipe, SampleGenerator
from texlens.synthesis.styles import STYLES
from texlens.synthesis.write import recipe_key, synthesize

__all__ = ["STYLES", "RowRecipe", "SampleGenerator", "read_labels", "recipe_key", "synthesize"]
