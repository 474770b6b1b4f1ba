"""CIDEr-D: how much a caption says of what people say of this image and not of others.

Vedantam, Zitnick and Parikh 2015 (arXiv:1411.5726), section 4 and, for the D variant (clipped counts and a penalty on
length), section 5; sigma 6, n-grams of 1 to 4, times 10, as the COCO scorer has it.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence

from texlens.metrics.captions import caption_words, ngrams, references
from texlens.metrics.scored_prediction import ScoredPrediction

_ORDERS = 4
_SIGMA = 6.0
_SCALE = 10.0

_Vector = dict[tuple[str, ...], float]


class CiderD:
    """Scores against the document frequencies of one set of references, an image being a document."""

    def __init__(self, images: Sequence[Sequence[Sequence[str]]]):
        """`images` holds, for each image, its references as words."""
        self._log_images = math.log(max(1, len(images)))
        self._frequency: Counter[tuple[str, ...]] = Counter()
        for captions in images:
            self._frequency.update({gram for words in captions for gram in _all_ngrams(words)})

    def score(self, text: Sequence[str], captions: Sequence[Sequence[str]]) -> float:
        """Of one image, 0 to 10; the mean over references."""
        vectors, norms = self._weighted(text)
        total = 0.0
        for words in captions:
            others, other_norms = self._weighted(words)
            penalty = math.exp(-((_bigrams(text) - _bigrams(words)) ** 2) / (2 * _SIGMA**2))
            for vector, norm, other, other_norm in zip(vectors, norms, others, other_norms, strict=True):
                if norm and other_norm:
                    total += penalty * _clipped_product(vector, other) / (norm * other_norm)
        return _SCALE * total / _ORDERS / len(captions)

    def _weighted(self, words: Sequence[str]) -> tuple[list[_Vector], list[float]]:
        """For each order the n-grams' counts times log(images / images that have it), and the vector's length."""
        vectors = [
            {
                gram: count * (self._log_images - math.log(max(1, self._frequency[gram])))
                for gram, count in ngrams(words, order).items()
            }
            for order in range(1, _ORDERS + 1)
        ]
        return vectors, [math.sqrt(sum(weight**2 for weight in vector.values())) for vector in vectors]


def cider_of_set(scored: Sequence[ScoredPrediction]) -> Callable[[ScoredPrediction], float]:
    """The score of a row, with the document frequencies of all rows."""
    images = [references(row.prediction) for row in scored]
    scorer = CiderD(images)
    return lambda row: scorer.score(caption_words(row.text), references(row.prediction))


def _bigrams(words: Sequence[str]) -> int:
    """What the published scorer counts as a caption's length."""
    return max(0, len(words) - 1)


def _clipped_product(text: _Vector, caption: _Vector) -> float:
    return sum(min(weight, caption[gram]) * caption[gram] for gram, weight in text.items() if gram in caption)


def _all_ngrams(words: Sequence[str]) -> set[tuple[str, ...]]:
    return {gram for order in range(1, _ORDERS + 1) for gram in ngrams(words, order)}
