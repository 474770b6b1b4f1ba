"""A comparison of a run's systems with what it was measured on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from texlens.config.run import RunConfig
from texlens.evaluation.comparison import Comparison
from texlens.evaluation.confusion import confusions
from texlens.evaluation.train_overlap import TrainOverlap


@dataclass(frozen=True)
class MeasuredComparison:
    """`data` says which rows (`describe_rows`), `overlap` how many of them the run was trained on, `other_overlaps` the
    same of other runs; `label` names the files of the run folder that hold the results, `report` is one of them;
    `row_order` has the rows' ids in the order of the data."""

    comparison: Comparison
    label: str
    data: Mapping[str, Any]
    overlap: TrainOverlap
    report: Path
    other_overlaps: Mapping[str, TrainOverlap] = field(default_factory=dict)
    row_order: Sequence[str] = ()

    @property
    def title(self) -> str:
        """
        Example:
            "Comparison on demo, split test: none of 621 rows shares an image or a label with train"
        """
        return f"Comparison on {data_name(self.data)}: {self.overlap.sentence()}"

    def to_json(self) -> dict[str, Any]:
        return {
            **self.comparison.to_json(),
            "confusions": [asdict(confusion) for confusion in confusions(self.comparison)],
            "label": self.label,
            "data": dict(self.data),
            "train_overlap": _with_sentence(self.overlap),
            "train_overlap_of_others": {name: _with_sentence(part) for name, part in self.other_overlaps.items()},
        }

    def lines_on_overlap(self) -> list[str]:
        """One line for each other run: how many of the rows it was trained on."""
        return [f"{name}: {overlap.sentence()}" for name, overlap in self.other_overlaps.items()]


def _with_sentence(overlap: TrainOverlap) -> dict[str, Any]:
    return {**overlap.to_json(), "sentence": overlap.sentence()}


def describe_rows(config: RunConfig, split: str, rows: int) -> dict[str, Any]:
    """For JSON files: which data, which split, how many rows, and the settings of reading."""
    return {
        "path": config.data.path,
        "subset": config.data.subset,
        "split": split,
        "source_split": getattr(config.data.splits, split, None),
        "rows": rows,
        "max_rows": config.evaluate.max_rows,
        "max_new_tokens": config.evaluate.max_new_tokens,
        "temperature": config.evaluate.temperature,
    }


def data_name(data: Mapping[str, Any]) -> str:
    """
    Example:
        {"path": "linxy/LaTeX_OCR", "subset": "small", "split": "test", …} -> "linxy/LaTeX_OCR small, split test"
    """
    name = " ".join(str(part) for part in (data.get("path"), data.get("subset")) if part)
    return f"{name}, split {data.get('split')}"
