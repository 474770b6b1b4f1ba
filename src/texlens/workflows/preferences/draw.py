"""Rows of a data set made of answers that a model draws: pairs of the best and the worst, or the best alone."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from texlens.data.folder.statistics import statistics_if_made_by
from texlens.data.folder.writer import FolderWriter
from texlens.data.load import Rows
from texlens.data.sample import RejectedRow, Sample
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.model import LoadedModel
from texlens.metrics.prediction import Prediction
from texlens.rewards.score import RewardScorer
from texlens.workflows.preferences.choose import Candidate, Pair, best_against_worst, best_of, reference_against_worst

SPLIT = "train"
WINDOW = 32
"""Rows that are drawn, scored and written together; a stopped call goes on after the last written shard."""
SHARD_ROWS = 256
VERSION = 2

Outcome = Sample | str
"""The new row, or why the row gives none."""
Choice = Callable[[Sample, Candidate, Sequence[Candidate]], Outcome]
"""Of a row, its own text as an answer, and the answers that were drawn."""


@dataclass(frozen=True)
class DrawOptions:
    """
    Args:
        samples: answers to each row.
        weights: of the scores, by the names of rewards.
    """

    samples: int
    temperature: float
    max_new_tokens: int
    weights: Mapping[str, float]
    batch_size: int = 16
    seed: int = 0


def pairs(margin: float, *, use_text: bool) -> Choice:
    """Rows with `text` and `rejected`: the best answer, or the row's own text, against the worst."""

    def choose(sample: Sample, reference: Candidate, candidates: Sequence[Candidate]) -> Outcome:
        if use_text:
            pair = reference_against_worst(reference, candidates, margin)
        else:
            pair = best_against_worst(candidates, margin)
        return pair if isinstance(pair, str) else _with_pair(sample, pair)

    return choose


def best(at_least: float) -> Choice:
    """Rows whose text is the best answer."""

    def choose(sample: Sample, reference: Candidate, candidates: Sequence[Candidate]) -> Outcome:
        chosen = best_of(candidates, at_least)
        if isinstance(chosen, str):
            return chosen
        columns = {**sample.extra, "reference": sample.text, "score": chosen.score}
        return replace(sample, text=chosen.text, more_answers=(), extra=columns)

    return choose


def draw_rows(
    open_model: Callable[[], LoadedModel],
    rows: Rows,
    folder: Path,
    options: DrawOptions,
    choice: Choice,
    *,
    made_by: Mapping[str, Any],
    scorer: RewardScorer,
    overwrite: bool = False,
    on_progress: Callable[[int], None] = lambda done: None,
) -> tuple[dict[str, Any], bool]:
    """Writes the data set; returns its statistics, and whether it was there already.

    Args:
        open_model: not called where the data set is there already.
        made_by: everything beside rows and options that the result depends on, such as the model's fingerprint.

    Raises:
        DataError: the folder holds something else, or no row gave an answer to keep.
        RunError: a reward failed.
    """
    key = {"version": VERSION, "rows": rows.fingerprint, **asdict(options), **made_by}
    statistics = None if overwrite else statistics_if_made_by(folder, key)
    if statistics is not None:
        return statistics, True
    with FolderWriter(folder, made_by=key, resume=True, overwrite=overwrite, shard_rows=SHARD_ROWS) as writer:
        first = writer.resumed(SPLIT)
        outcomes = _outcomes(open_model(), rows, first, options, choice, scorer)
        for done, (sample, outcome) in enumerate(outcomes, first + 1):
            if isinstance(outcome, str):
                writer.reject(SPLIT, RejectedRow(sample.id, sample.image.where, outcome, outcome, sample.text))
            else:
                writer.add(SPLIT, outcome)
            on_progress(done)
    return writer.statistics, False


def _outcomes(
    model: LoadedModel, rows: Rows, first: int, options: DrawOptions, choice: Choice, scorer: RewardScorer
) -> Iterator[tuple[Sample, Outcome]]:
    for start in range(first, len(rows), WINDOW):
        samples = [rows[number] for number in range(start, min(start + WINDOW, len(rows)))]
        drawn = _drawn(model, samples, options)
        answers = [
            [Prediction(sample.id, sample.text, sample.text), *predictions]
            for sample, predictions in zip(samples, drawn, strict=True)
        ]
        futures = [scorer.submit(predictions) for predictions in answers]
        for sample, predictions, future in zip(samples, answers, futures, strict=True):
            scores = scorer.collect([future])
            reference, *candidates = (
                Candidate(prediction.text, score.total) for prediction, score in zip(predictions, scores, strict=True)
            )
            yield sample, choice(sample, reference, candidates)


def _drawn(model: LoadedModel, samples: Sequence[Sample], options: DrawOptions) -> list[list[Prediction]]:
    copies = [
        replace(sample, id=_copy_id(row, number))
        for row, sample in enumerate(samples)
        for number in range(options.samples)
    ]
    seeds = hashlib.sha256(json.dumps([options.seed, *(sample.id for sample in samples)]).encode()).digest()
    sampling = Sampling(options.max_new_tokens, options.temperature or None)
    predictions = model.generate(
        copies, sampling=sampling, batch_size=options.batch_size, seed=int.from_bytes(seeds[:4], "big")
    )
    by_id = {prediction.id: prediction for prediction in predictions}
    return [[by_id[_copy_id(row, number)] for number in range(options.samples)] for row in range(len(samples))]


def _copy_id(row: int, number: int) -> str:
    return f"{row} answer {number}"


def _with_pair(sample: Sample, pair: Pair) -> Sample:
    columns = {
        **sample.extra,
        "rejected": pair.rejected.text,
        "score": pair.chosen.score,
        "rejected_score": pair.rejected.score,
    }
    return replace(sample, text=pair.chosen.text, more_answers=(), extra=columns)
