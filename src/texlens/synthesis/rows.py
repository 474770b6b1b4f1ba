"""A synthetic row depends only on the seed and its number, not on processes or restarts."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from texlens.core.errors import LatexError
from texlens.data.sample import LazyImage, RejectedRow, Sample
from texlens.synthesis.drawn import Drawn
from texlens.synthesis.formulas import Origin, formula_source
from texlens.synthesis.slips import with_slip
from texlens.synthesis.styles import STYLES

_TRIES = 100


@dataclass(frozen=True)
class RowRecipe:
    """What rows are generated from; `labels` is the list of formulas to learn or take from (see `read_labels`)."""

    style: str
    origin: Origin = "grammar"
    min_tokens: int = 3
    max_tokens: int = 60
    seed: int = 0
    slips: bool = False
    """Put a deliberate slip into each formula; the formula without it goes into the column `corrected`."""
    labels: Sequence[str] = field(default=(), repr=False)


class GeneratedSample(NamedTuple):
    """A finished row, sent between processes; without an image it is rejected, and `label` is the reason."""

    id: str
    label: str
    image: bytes | None
    columns: dict[str, str | int | float]

    def sample(self) -> Sample:
        assert self.image is not None
        image = LazyImage.from_bytes(self.image, self.id)
        return Sample(self.id, image, self.label, domain=str(self.columns["style"]), extra=self.columns)

    def rejected_row(self) -> RejectedRow:
        return RejectedRow(self.id, self.id, self.label, "can't be drawn")


class SampleGenerator:
    """Generates the rows of a recipe, in any order."""

    def __init__(self, recipe: RowRecipe):
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

    def make(self, number: int) -> GeneratedSample:
        """Row `number`. A formula that can't be drawn is replaced, or rejected if it comes from a list."""
        name = f"{self.recipe.style}-{self.recipe.seed}-{number:07d}"
        label, reason = "", ""
        for attempt in range(_TRIES):
            rng = random.Random(f"{self.recipe.seed} {self.recipe.style} {number} {attempt}")
            label, slip = self._label(rng, number)
            try:
                drawn = self.draw(label, rng)
            except LatexError as error:
                reason = f"{label[:80]}: {error}"
                if self.recipe.origin == "list":
                    break
                continue
            return GeneratedSample(name, label, drawn.encoded(), self._columns(drawn, number, attempt) | slip)
        return GeneratedSample(name, reason, None, {})

    def _label(self, rng: random.Random, number: int) -> tuple[str, dict[str, str]]:
        """A formula, and the columns about its slip; without a place for a slip it stays as it is."""
        label = self.formulas.sample(rng, number)
        slip = with_slip(label, rng) if self.recipe.slips else None
        return (label, {}) if slip is None else (slip.text, {"slip": slip.kind, "corrected": slip.corrected})

    def _columns(self, drawn: Drawn, number: int, attempt: int) -> dict[str, str | int | float]:
        columns = {
            "style": self.recipe.style,
            "formulas": self.recipe.origin,
            "seed": self.recipe.seed,
            "number": number,
        }
        return {**columns, "attempt": attempt, **drawn.columns}
