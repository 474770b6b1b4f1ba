"""What scores the rows that are read while training; whoever starts a training brings it, since `train` knows none."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from texlens.config.train import WatchSettings
from texlens.core.errors import ConfigError
from texlens.latex.parse.tokens import canonical_spacing
from texlens.metrics.prediction import Prediction


@dataclass(frozen=True)
class Scorer:
    """Gives the scores `names` of predictions; of those in `lower_is_better` a smaller value is the better one."""

    names: tuple[str, ...]
    scores_of: Callable[[Sequence[Prediction]], Mapping[str, float]]
    lower_is_better: frozenset[str] = frozenset()

    def __call__(self, predictions: Sequence[Prediction]) -> Mapping[str, float]:
        return self.scores_of(predictions)


def _exact_match(predictions: Sequence[Prediction]) -> Mapping[str, float]:
    right = sum(canonical_spacing(row.text) == canonical_spacing(row.reference) for row in predictions)
    return {"exact_match": right / max(len(predictions), 1)}


EXACT_MATCH = Scorer(("exact_match",), _exact_match)


def check_best_by(watch: WatchSettings, scorer: Scorer) -> None:
    """
    Raises:
        ConfigError: the best checkpoint is to be picked by a score that is not measured.
    """
    known = ("validation_loss", *scorer.names)
    if watch.best_by not in known:
        near = difflib.get_close_matches(watch.best_by, known, 1, 0.6)
        meant = f"did you mean {near[0]}, or " if near else ""
        raise ConfigError(
            f"train.watch.best_by: {watch.best_by} is not measured; {meant}is it missing in train.watch.metrics? "
            f"Measured are {', '.join(known)}"
        )
