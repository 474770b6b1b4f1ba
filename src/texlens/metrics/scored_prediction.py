"""A prediction with its reference: what scores are computed from, each part once and on demand."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from texlens.latex.canonical.form import canonical
from texlens.latex.canonical.same_picture import is_same_picture
from texlens.latex.parse.tokens import tokenize
from texlens.metrics.cdm import RULES, Cdm, Pictures, Rules, cdm
from texlens.metrics.distances import edit_distance, pieces_of
from texlens.metrics.prediction import Prediction

Tokenizer = Callable[[str], list[str]]


@dataclass(frozen=True)
class ScoredPrediction:
    """A prediction and its reference as tokens; a failed one has no text tokens and scores 0 everywhere."""

    prediction: Prediction
    reference_tokens: list[str]
    text_tokens: list[str]
    rules: Rules = RULES["default"]
    pictures: Pictures | None = None

    @classmethod
    def of(
        cls,
        prediction: Prediction,
        *,
        rules: Rules = RULES["default"],
        tokenizer: Tokenizer = tokenize,
        pictures: Pictures | None = None,
    ) -> "ScoredPrediction":
        text = "" if prediction.stop == "failed" else prediction.text
        return cls(prediction, tokenizer(prediction.reference), tokenizer(text), rules, pictures)

    @property
    def failed(self) -> bool:
        return self.prediction.stop == "failed"

    @property
    def text(self) -> str:
        return "" if self.failed else self.prediction.text

    @cached_property
    def edits(self) -> int:
        """Token insertions, deletions and substitutions between reference and text."""
        return edit_distance(self.reference_tokens, self.text_tokens)

    @property
    def shortened(self) -> str:
        """What was not compared in full because of its cost."""
        reference, text = (sum(map(len, tokens)) for tokens in (self.reference_tokens, self.text_tokens))
        pieces = pieces_of(reference, text)
        return f"too long to be compared as a whole: edits are counted in {pieces} pieces" if pieces > 1 else ""

    @property
    def edit_similarity(self) -> float:
        longer = max(len(self.reference_tokens), len(self.text_tokens))
        return 1 - self.edits / longer if longer else 1.0

    @property
    def is_exact(self) -> bool:
        """Equal in canonical spacing, which is the tokens joined by one space."""
        return self.reference_tokens == self.text_tokens

    @cached_property
    def is_canonically_exact(self) -> bool:
        return self.is_exact or canonical(self.prediction.reference).tokens == canonical(self.text).tokens

    @cached_property
    def is_exact_as_picture(self) -> bool:
        """Drawn alike; a source that can't be drawn equals only itself."""
        return self.is_exact or is_same_picture(self.prediction.reference, self.text)

    @cached_property
    def characters(self) -> tuple[int, int]:
        """Character edits, and characters of the reference; white space does not count."""
        reference, text = "".join(self.reference_tokens), "".join(self.text_tokens)
        return edit_distance(reference, text), len(reference)

    @cached_property
    def cdm(self) -> Cdm:
        return cdm(self.prediction.reference, self.text, self.rules, self.pictures)

    @cached_property
    def is_valid(self) -> bool:
        """The text is not empty, parses and draws."""
        return bool(self.text_tokens) and canonical(self.text).problem is None
