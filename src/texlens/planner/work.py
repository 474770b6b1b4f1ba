"""Floating-point operations of training and reading a row, from its tokens and the model's size: a rule of thumb.

A product with a weight takes 2 operations a number forward, and 2 more backward for the gradient of its input; frozen
weights have no gradient of their own. Attention and norms are left out. What a rate was measured with is counted in the
same way, so that most of what is left out cancels.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from texlens.adapters.plan import Coverage
from texlens.models.meta_model import meta_model
from texlens.planner.rows import MERGED, RowSize

VISION_PREFIX = "model.visual."
EMBEDDINGS = ("embed_tokens", "pos_embed")


@dataclass(frozen=True)
class ModelWork:
    """Parameters that a token of text, and a patch of an image, is multiplied with."""

    text: int
    vision: int

    @classmethod
    def of(cls, model_config: dict) -> "ModelWork":
        """Embedding tables are looked up and not multiplied; a tied one is the head's weight and counts."""
        text = vision = 0
        model = meta_model(model_config)
        is_tied = bool(getattr(model.config, "tie_word_embeddings", False))
        for name, parameter in model.named_parameters():
            if name.startswith(VISION_PREFIX):
                vision += 0 if "pos_embed" in name else parameter.numel()
            elif "embed_tokens" not in name or is_tied:
                text += parameter.numel()
        return cls(text, vision)

    def training(self, size: RowSize, *, vision_is_trained: bool) -> int:
        """Forward and backward of a row."""
        return 4 * self.text * size.tokens + (4 if vision_is_trained else 2) * self.vision * size.image * MERGED

    def reading(self, size: RowSize) -> int:
        """The prompt once, then a forward pass for each token of the answer."""
        return 2 * self.text * size.tokens + 2 * self.vision * size.image * MERGED


def mean(values: Iterable[float]) -> float:
    """Of at least one value."""
    numbers = list(values)
    return sum(numbers) / len(numbers)


def trains_vision(coverage: Iterable[Coverage]) -> bool:
    """Whether weights or adapters of the tower or the merger are trained, so that gradients pass it."""
    return any(row.matched and row.group in ("vision", "merger") for row in coverage)
