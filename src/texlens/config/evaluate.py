"""`evaluate:` how predictions are made and scored."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from texlens.config.base import Settings


def _parted(value: Any) -> Any:
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


MetricNames = Annotated[tuple[str, ...], BeforeValidator(_parted), Field(min_length=1)]
"""Names of scores or of sets of them, as a list or with commas; `evaluate` knows which there are."""


class EvaluateSettings(Settings):
    batch_size: int = Field(16, ge=1)
    max_new_tokens: int = Field(256, ge=1)
    """A prediction is cut here, and counted as a length-limit hit."""
    fraction: float = Field(1.0, gt=0, le=1)
    """Share of the split's rows to score, drawn by `seed`."""
    max_rows: int | None = Field(None, ge=1)
    """Score at most this many rows of the split, drawn by `seed`."""
    temperature: float = Field(0.0, ge=0)
    """0 is greedy."""
    grammar: bool = False
    """Decode only what a formula can go on with: braces, environments and delimiters end up balanced."""
    clean: bool = True
    """Remove code fences, prose and math delimiters around a prediction before it is scored."""
    metrics: MetricNames = ("formulas",)
    """Names of scores, or of the sets formulas, captions and all; exact_match is always among them."""
    seed: int = 0
    """Draws rows under `fraction` and `max_rows`, samples at a temperature, and resamples for the intervals."""
