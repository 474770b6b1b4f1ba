"""Held-out rows for the bundled model: nothing here shares code, seeds, fonts or templates with `pretraining`."""
