"""The rows that systems are measured on, with a fingerprint of all in them that decides a prediction or a score."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from texlens.config.run import RunConfig
from texlens.core.errors import DataError
from texlens.data.load import Rows
from texlens.data.sample import LazyImage, RejectedRow, Sample
from texlens.inputs.build import read_split
from texlens.inputs.row_check import check_rows
from texlens.metrics.prediction import Prediction
from texlens.models.build import BaseCheckpoint


@dataclass(frozen=True)
class EvaluationRows:
    """`failed` has a prediction without text for each row that can't be read: it scores zero, it is never dropped."""

    samples: list[Sample]
    failed: list[Prediction]

    def __len__(self) -> int:
        return len(self.samples) + len(self.failed)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over each row's id, images (their bytes), prompt, system prompt, history, answers and domain."""
        digest = hashlib.sha256()
        for sample in self.samples:
            _add(digest, _sample_fields(sample))
        for row in self.failed:
            _add(digest, [row.id, *row.references, row.domain, row.error])
        return digest.hexdigest()


def read_rows(config: RunConfig, split: str, base: BaseCheckpoint) -> EvaluationRows:
    """The rows of a split that are measured, checked.

    Raises:
        ConfigError: no such split in the settings.
        DataError: no row of it can be read.
    """
    rows = drawn_rows(config, split)
    checked = check_rows(rows, base.processor.geometry, base.processor.tokenizer)
    references = dict(zip(rows.ids(), rows.texts(), strict=True))
    failed = [_failed(row, references) for row in checked.rejected]
    samples = list(checked.usable)
    if not samples:
        raise DataError(f"{config.data.path}: no row to read in split {split}; check data.splits.{split}")
    return EvaluationRows(samples, failed)


def drawn_rows(config: RunConfig, split: str) -> Rows:
    """The rows of a split that `evaluate.fraction` and `evaluate.max_rows` choose, unchecked."""
    settings = config.evaluate
    rows = read_split(config.data, split)
    return rows.draw(fraction=settings.fraction, limit=settings.max_rows, seed=settings.seed)


def _failed(row: RejectedRow, references: Mapping[str, str]) -> Prediction:
    """It scores zero in its own domain; its reference is what could be read of it."""
    return Prediction(
        row.id,
        row.text or references.get(row.id, ""),
        "",
        stop="failed",
        domain=row.domain,
        error=row.reason,
        more_references=row.more_answers,
    )


def image_digest(image: LazyImage) -> str:
    """SHA-256 of the encoded image; empty where it can't be read."""
    try:
        return hashlib.sha256(image.encoded()).hexdigest()
    except DataError:
        return ""


def _sample_fields(sample: Sample) -> list:
    return [
        sample.id,
        [image_digest(image) for image in sample.images],
        sample.prompt,
        sample.system,
        [[turn.role, turn.text] for turn in sample.history],
        list(sample.answers),
        sample.domain,
    ]


def _add(digest, fields: list) -> None:
    digest.update(json.dumps(fields).encode() + b"\n")
