"""The rows that systems are measured on, with a fingerprint of all in them that decides a prediction or a score."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from texlens.config.run import RunConfig
from texlens.core.errors import DataError
from texlens.data.fingerprint import rows_fingerprint
from texlens.data.load import Rows
from texlens.data.sample import RejectedRow, Sample
from texlens.inputs.build import read_split
from texlens.inputs.chat_template import PromptStyle
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
        """Over ids, images (their contents), prompts, system prompts, history, answers, domains, and rejected rows."""
        rejected = [json.dumps([row.id, *row.references, row.domain, row.error]) for row in self.failed]
        return rows_fingerprint(self.samples, rejected)


def read_rows(config: RunConfig, split: str, base: BaseCheckpoint) -> EvaluationRows:
    """The rows of a split that are measured, checked.

    Raises:
        ConfigError: no such split in the settings.
        DataError: no row of it can be read.
    """
    rows = drawn_rows(config, split)
    style = PromptStyle(config.data.prompt, config.data.system_prompt)
    checked = check_rows(rows, base.processor.geometry, base.processor.tokenizer, style=style)
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
