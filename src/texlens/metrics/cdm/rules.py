"""The published parameter sets of CDM, by name."""

from dataclasses import dataclass
from typing import Literal

from texlens.core.errors import ConfigError

TOKEN_COST = 1.0
SYNONYM_COST = 0.05
POSITION_COST = 0.05
ORDER_COST = 0.15
STRUCTURE_COST = 0.1
"""Ours: the cost of pairing a superscript with a base. The other costs are the authors'."""

PIXELS_PER_EM = 12 * 200 / 72.27
"""The authors draw at 12 pt and read the page at 200 dots an inch."""

PADDING = 8.0
"""Pixels that the authors leave around the ink."""

SEED = 0
RulesName = Literal["default", "reference", "reference-2024"]


@dataclass(frozen=True)
class Rules:
    """How pairs are kept: up to `rounds` times, the largest set that one shift and scale explains to `residual_px`.

    `samples` pairs make a candidate, `trials` candidates are tried. `fixed` corrects faults of the authors'
    program: every token counts, and a pair counts only where both tokens have the same place in the structure.
    """

    rounds: int
    samples: int
    residual_px: float
    trials: int = 50
    fixed: bool = False


RULES: dict[str, Rules] = {
    "default": Rules(rounds=5, samples=2, residual_px=20.0, fixed=True),
    "reference": Rules(rounds=5, samples=2, residual_px=20.0),
    "reference-2024": Rules(rounds=3, samples=3, residual_px=25.0),
}


def rules_named(name: str) -> Rules:
    if name not in RULES:
        raise ConfigError(f"no rules of CDM are named {name!r}; choose one of {', '.join(RULES)}")
    return RULES[name]
