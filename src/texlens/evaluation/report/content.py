"""What a report shows; everything but the comparison may be left out, and so is its part of the page then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from texlens.data.sample import LazyImage
from texlens.evaluation.comparison import Comparison


@dataclass(frozen=True)
class RowCounts:
    """Where the rows of a split went: `rows` in all, `used`, and why the others were rejected (one line each)."""

    split: str
    rows: int
    used: int
    rejected: Sequence[str] = ()


@dataclass(frozen=True)
class ReportData:
    """References and texts come from the comparison, images by row id.

    `claim` says how many of the rows were trained on. `details` are (label, value) lines of what was run. `coverage`
    rows have group, matched, total and parameters. `history` is metrics.jsonl: each dict has step and any of loss,
    eval_loss and `eval_NAME` of a score.
    """

    title: str
    comparison: Comparison
    images: Mapping[str, LazyImage] = field(default_factory=dict)
    subtitle: str = ""
    claim: str = ""
    details: Sequence[tuple[str, str]] = ()
    config_yaml: str = ""
    coverage: Sequence[Mapping] = ()
    accounts: Sequence[RowCounts] = ()
    history: Sequence[Mapping] = ()
    notes: Sequence[str] = ()
