"""Character detection matching (CDM), ours: glyphs and rules of two formulas matched as pictures, in milliseconds.

Wang et al. 2024, "CDM: A Reliable Metric for Fair and Accurate Formula Recognition Evaluation" (arXiv 2409.03643).
`ink_groups` maps glyphs and rules to nodes, `visible_tokens` turns them into tokens with boxes, `published` does so as
the authors' program, `match` pairs the tokens, `score` counts the pairs.
"""

from texlens.metrics.cdm.rules import RULES, Rules, rules_named
from texlens.metrics.cdm.score import Cdm, Matching, Pictures, cdm, matching

__all__ = ["RULES", "Cdm", "Matching", "Pictures", "Rules", "cdm", "matching", "rules_named"]
