"""A prediction with its reference: what scores are computed from, each part once and on demand."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from texlens.latex.canonical.form import canonical
from texlens.latex.canonical.same_picture import is_same_picture
from texlens.latex.canonical.spaceless import spaceless
from texlens.latex.cleanup import clean_prediction, is_bare
from texlens.latex.parse.tokens import tokenize
from texlens.metrics.cdm import RULES, Cdm, Pictures, Rules, cdm
from texlens.metrics.distances import edit_distance, pieces_of
from texlens.metrics.prediction import Prediction

Tokenizer = Callable[[str], list[str]]


@dataclass(frozen=True)
class ScoredPrediction:
    """A prediction and its reference as tokens; a failed one has no text tokens and scores 0 everywhere.

    `text` and `reference` are compared: both in Unicode's form NFC, as Qwen's tokenizers return texts, and without code
    fences, prose and math delimiters (`latex.cleanup`) unless `clean` was off. `removed` names what was removed from
    the text.
    """

    prediction: Prediction
    text: str
    reference: str
    removed: tuple[str, ...]
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
        clean: bool = True,
    ) -> "ScoredPrediction":
        text = "" if prediction.stop == "failed" else prediction.text
        reference, removed = prediction.reference, ()
        if clean:
            text, removed = clean_prediction(text)
            reference, _ = clean_prediction(reference)
        text, reference = unicodedata.normalize("NFC", text), unicodedata.normalize("NFC", reference)
        tokens = tokenizer(reference), tokenizer(text)
        return cls(prediction, text, reference, removed, *tokens, rules, pictures)

    @property
    def failed(self) -> bool:
        return self.prediction.stop == "failed"

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
        return self.is_exact or canonical(self.reference).tokens == canonical(self.text).tokens

    @cached_property
    def is_exact_as_picture(self) -> bool:
        """Drawn alike; a source that can't be drawn equals only itself."""
        return self.is_exact or is_same_picture(self.reference, self.text)

    @cached_property
    def is_spaceless_exact(self) -> bool:
        """Equal in canonical form, spacing commands and fence sizes aside."""
        return self.is_canonically_exact or spaceless(self.reference) == spaceless(self.text)

    @cached_property
    def slip_kept(self) -> bool | None:
        """Whether the text is nearer to the reference with its slip than to the corrected formula, in token edits of
        the canonical forms; None in a row without a slip, or where it is as near to both."""
        if self.prediction.corrected is None or self.failed:
            return None
        text = canonical(self.text).tokens
        to_slip = edit_distance(canonical(self.reference).tokens, text)
        to_corrected = edit_distance(canonical(self.prediction.corrected).tokens, text)
        return None if to_slip == to_corrected else to_slip < to_corrected

    @cached_property
    def characters(self) -> tuple[int, int]:
        """Character edits, and characters of the reference; white space does not count."""
        reference, text = "".join(self.reference_tokens), "".join(self.text_tokens)
        return edit_distance(reference, text), len(reference)

    @cached_property
    def reference_problem(self) -> str:
        """Why the reference can't be drawn; empty where it can."""
        return str(canonical(self.reference).problem or "")

    @cached_property
    def cdm(self) -> Cdm:
        return cdm(self.reference, self.text, self.rules, self.pictures)

    @cached_property
    def is_valid(self) -> bool:
        """The text is not empty, parses and draws, and has no code fence or prose around it."""
        return bool(self.text_tokens) and canonical(self.text).problem is None and is_bare(self.text)
