"""A file of predictions as a system, so that any other reader takes part in a comparison."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from texlens.core.errors import DataError, one_line
from texlens.core.files import sha256_of
from texlens.data.sample import Sample
from texlens.inference.decoding.sampling import Sampling
from texlens.metrics.prediction import Prediction

TEXT_COLUMNS = ("text", "prediction", "pred", "output")
SUFFIXES = (".jsonl", ".json")


@dataclass(frozen=True)
class PredictionFileSource:
    """JSON lines with `id` and the text in one of `TEXT_COLUMNS`; rows without ids are taken in the order of the
    data."""

    name: str
    path: Path

    def identity(self) -> dict[str, Any]:
        return {"predictions": sha256_of(self.path)}

    def open(self) -> "PredictionFileReader":
        return PredictionFileReader(self.path, _texts(self.path))


@dataclass(frozen=True)
class PredictionFileReader:
    path: Path
    texts: Mapping[str, str | None] | Sequence[str | None]

    def generate(
        self, samples: Sequence[Sample], *, sampling: Sampling | None = None, batch_size: int = 16, seed: int = 0
    ) -> Iterator[Prediction]:
        """
        Raises:
            DataError: a row of the data has no prediction.
        """
        if not isinstance(self.texts, Mapping) and len(self.texts) != len(samples):
            raise DataError(
                f"{self.path}: {len(self.texts)} predictions without ids for {len(samples)} rows; give each an id"
            )
        for number, sample in enumerate(samples):
            if isinstance(self.texts, Mapping) and sample.id not in self.texts:
                raise DataError(f"{self.path}: no prediction of row '{sample.id}'; predict every row of the split")
            text = self.texts[sample.id] if isinstance(self.texts, Mapping) else self.texts[number]
            yield prediction_of(sample, text)


def prediction_of(sample: Sample, text: str | None, error: str = "no prediction in the file") -> Prediction:
    """A prediction of a text for a sample; None is a failed one."""
    return Prediction(
        sample.id,
        sample.text,
        text or "",
        stop="failed" if text is None else "end",
        domain=sample.domain,
        error=error if text is None else None,
        more_references=sample.more_answers,
    )


def _texts(path: Path) -> Mapping[str, str | None] | list[str | None]:
    texts: list[tuple[str | None, str | None]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").split("\n"), 1):
        if line.strip():
            texts.append(_row(line, f"{path}, line {number}"))
    if not texts:
        raise DataError(f"{path}: no predictions in it; give a file of JSON lines")
    if all(name is None for name, _ in texts):
        return [text for _, text in texts]
    by_id = {name: text for name, text in texts if name is not None}
    if len(by_id) < len(texts):
        raise DataError(f"{path}: an id is missing or occurs twice; give every row an id of its own")
    return by_id


def _row(line: str, where: str) -> tuple[str | None, str | None]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({one_line(error)}); fix or remove the line") from None
    if not isinstance(row, dict):
        raise DataError(f"{where}: a {type(row).__name__}, not an object; fix or remove the line")
    column = next((name for name in TEXT_COLUMNS if name in row), None)
    if column is None:
        raise DataError(f"{where}: none of the columns {', '.join(TEXT_COLUMNS)}; rename the one with the prediction")
    failed = row.get("stop") == "failed" or row[column] is None
    return (str(row["id"]) if "id" in row else None), None if failed else str(row[column])
