"""TeX Live, where it is installed, as a second renderer: formulas are printed from our own tree, many to a run."""
