"""`evaluate:` how predictions are made and scored."""

from pydantic import Field

from texlens.config.base import Settings


class EvaluateSettings(Settings):
    batch_size: int = Field(16, ge=1)
    max_new_tokens: int = Field(256, ge=1)
    """A prediction is cut here, and counted as a length-limit hit."""
    limit: int | None = Field(None, ge=1)
    """Score at most this many rows of the split, drawn by `seed`."""
    temperature: float = Field(0.0, ge=0)
    """0 is greedy."""
    seed: int = 0
    """Draws rows under `limit`, samples at a temperature, and resamples for the intervals."""
