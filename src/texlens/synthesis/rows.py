"""A row of made-up data from the seed and its number alone, so that no process and no kill changes what is made."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from texlens.core.errors import LatexError
from texlens.data.sample import LazyImage, RejectedRow, Sample
from texlens.synthesis.drawn import Drawn
from texlens.synthesis.formulas import Origin, formula_source
from texlens.synthesis.styles import STYLES

_TRIES = 100


@dataclass(frozen=True)
class Recipe:
    """What rows are made of; `labels` is the list that formulas are learnt or taken from, as `read_labels` gives it."""

    style: str
    origin: Origin = "grammar"
    min_tokens: int = 3
    max_tokens: int = 60
    seed: int = 0
    labels: Sequence[str] = field(default=(), repr=False)


class Made(NamedTuple):
    """A finished row as it goes between processes; without an image it is refused, and `label` is the reason."""

    id: str
    label: str
    image: bytes | None
    facts: dict[str, str | int | float]

    def sample(self) -> Sample:
        assert self.image is not None
        image = LazyImage.from_bytes(self.image, self.id)
        return Sample(self.id, image, self.label, domain=str(self.facts["style"]), extra=self.facts)

    def rejected_row(self) -> RejectedRow:
        return RejectedRow(self.id, self.id, self.label, "can't be drawn")


class Maker:
    """Makes the rows of a recipe, in any order."""

    def __init__(self, recipe: Recipe):
        self.recipe = recipe
        self.draw = STYLES[recipe.style]
        self.formulas = formula_source(
            recipe.origin,
            recipe.labels,
            min_tokens=recipe.min_tokens,
            max_tokens=recipe.max_tokens,
            seed=recipe.seed,
            by_hand=recipe.style == "handwriting",
        )

    def make(self, number: int) -> Made:
        """Row `number`. A formula that can't be drawn is drawn anew, or refused where it comes from a list."""
        name = f"{self.recipe.style}-{self.recipe.seed}-{number:07d}"
        label, reason = "", ""
        for attempt in range(_TRIES):
            rng = random.Random(f"{self.recipe.seed} {self.recipe.style} {number} {attempt}")
            label = self.formulas.sample(rng, number)
            try:
                drawn = self.draw(label, rng)
            except LatexError as error:
                reason = f"{label[:80]}: {error}"
                if self.recipe.origin == "list":
                    break
                continue
            return Made(name, label, drawn.encoded(), self._facts(drawn, number, attempt))
        return Made(name, reason, None, {})

    def _facts(self, drawn: Drawn, number: int, attempt: int) -> dict[str, str | int | float]:
        made = {"style": self.recipe.style, "formulas": self.recipe.origin, "seed": self.recipe.seed, "number": number}
        return {**made, "attempt": attempt, **drawn.facts}
