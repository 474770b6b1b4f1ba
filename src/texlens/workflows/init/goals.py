"""What a model is to learn: the prompt, the augmentation and the scores that go with it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """`augment` is `data.augment`'s; `least_tokens`: answers are given at least so much room."""

    name: str
    summary: str
    prompt: str
    augment: str | None
    metrics: tuple[str, ...]
    least_tokens: int


LATEX_PROMPT = "Transcribe the LaTeX of this image."
TEXT_METRICS = ("exact_match", "edit_similarity", "character_error_rate", "length_limit", "repetition")

GOALS: Mapping[str, Goal] = {
    goal.name: goal
    for goal in (
        Goal("formulas", "printed formulas to LaTeX", LATEX_PROMPT, None, ("formulas",), 128),
        Goal("handwriting", "handwritten formulas to LaTeX", LATEX_PROMPT, "formula", ("formulas",), 128),
        Goal(
            "captions", "photographs to a sentence", "Describe this image in one sentence.", "photo", ("captions",), 64
        ),
        Goal("text", "images of text to the text", "Transcribe the text of this image.", None, TEXT_METRICS, 256),
    )
}
"""By name, in the order in which they are offered."""
