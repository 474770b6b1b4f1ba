"""Validation of a data set: every row scanned, everything found, counts and overlaps."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from texlens.core.cache import cache_folder
from texlens.core.errors import DataError
from texlens.data.geometry import ImageGeometry
from texlens.data.load import Rows
from texlens.data.sample import Sample
from texlens.data.validate.cache import StatsCache
from texlens.data.validate.duplicates import Same, exact_duplicates, near_duplicates
from texlens.data.validate.findings import KINDS, SEVERITIES, Finding, counted
from texlens.data.validate.images import check_image
from texlens.data.validate.leaks import Overlap, leaks, overlaps
from texlens.data.validate.row_keys import RowKeys, row_keys, spaceless
from texlens.data.validate.scan import RowStats, scan
from texlens.data.validate.texts import check_texts, is_latex
from texlens.latex.canonical.form import canonical

REASONS = {
    "duplicate-row": "image and label of {location} again",
    "two-labels": "the same image as {location}, another label",
    "near-duplicate": "nearly the image of {location}, the same label",
    "near-two-labels": "nearly the image of {location}, another label",
    "near-leak": "nearly the image of {location}",
    "image-leak": "its image is also in {location}",
    "label-leak": "its label is also in {location}",
}


@dataclass(frozen=True)
class Options:
    """How rows are judged. `latex` None: judged by the labels themselves."""

    geometry: ImageGeometry
    context: int = 32_768
    prompt: str = ""
    special_tokens: tuple[str, ...] = ()
    latex: bool | None = None
    render: bool = True
    near: bool = True


@dataclass(frozen=True)
class Validation:
    """What was found; `overlaps` has every ordered pair of splits, `marks` and `same_label` recognize rows again."""

    rows: Mapping[str, int]
    findings: Sequence[Finding]
    overlaps: Sequence[Overlap]
    keys_of_rows: Sequence[RowKeys]
    latex: bool
    same_label: Same
    fault: str = ""

    @property
    def counts(self) -> dict[str, int]:
        return counted(self.findings)

    def of_severity(self, severity: str) -> int:
        return sum(finding.severity == severity for finding in self.findings)

    def to_json(self) -> dict:
        return {
            "rows": dict(self.rows),
            "latex": self.latex,
            **{f"{severity}s": self.of_severity(severity) for severity in SEVERITIES},
            "kinds": self.counts,
            "leaks": [overlap.to_json() for overlap in self.overlaps if overlap.leaks],
            "findings": [finding.to_json() for finding in self.findings],
        }


def validate(
    splits: Mapping[str, Rows],
    options: Options,
    *,
    cache: Path | None = None,
    processes: int | None = None,
    on_progress: Callable[[int], None] | None = None,
    on_row: Callable[[str, RowStats], None] | None = None,
) -> Validation:
    """Looks at every row of every split.

    Args:
        cache: folder for what was found out about images and labels; None is the user's own.
        on_progress: called with the number of rows done since the last call.
        on_row: is shown each row with its facts, in order.

    Raises:
        DataError: a process died over an image.
    """
    texts = [text for rows in splits.values() for text in rows.texts()]
    latex = is_latex(texts) if options.latex is None else options.latex
    same_label = _same_label(splits, latex)
    findings: list[Finding] = []
    keys_of_rows: list[RowKeys] = []
    stats = StatsCache(cache or cache_folder())
    try:
        for split, rows in splits.items():
            findings += [Finding(split, -1, r.id, r.where, "row-form", r.reason) for r in rows.rejected]
            scanned = scan(
                rows, stats, latex=latex, render=options.render, processes=processes, on_progress=on_progress
            )
            for row in scanned:
                findings += _row_findings(split, row, options)
                keys_of_rows.append(row_keys(split, row))
                if on_row is not None:
                    on_row(split, row)
    finally:
        stats.close()
    findings += _shared_findings(splits, keys_of_rows, same_label, near=options.near)
    return Validation(
        {split: rows.total for split, rows in splits.items()},
        _in_order(findings, list(splits)),
        overlaps(keys_of_rows),
        keys_of_rows,
        latex,
        same_label,
        stats.fault,
    )


def _row_findings(split: str, row: RowStats, options: Options) -> Iterator[Finding]:
    for kind, reason in _row_faults(row, options):
        sample = row.sample
        yield Finding(split, row.index, sample.id, sample.image.where, kind, reason)


def _row_faults(row: RowStats, options: Options) -> Iterator[tuple[str, str]]:
    tokens = 0
    for number, stats in enumerate(row.images):
        before = f"image {number + 1} of {len(row.images)}: " if len(row.images) > 1 else ""
        for kind, reason in check_image(stats, options.geometry):
            yield kind, before + reason
        tokens += image_tokens(stats.width, stats.height, options.geometry)
    yield from check_texts(
        row.sample,
        tokens,
        prompt=options.prompt,
        context=options.context,
        special_tokens=options.special_tokens,
    )
    if row.latex:
        kind, _, reason = row.latex.partition(": ")
        yield kind, reason


def image_tokens(width: int, height: int, geometry: ImageGeometry) -> int:
    """0 for an image that the geometry rejects or that could not be read."""
    try:
        return geometry.tokens(width, height) if width else 0
    except DataError:
        return 0


def _same_label(splits: Mapping[str, Rows], latex: bool) -> Same:
    """White space apart; formulas also where their canonical form is one."""

    def same(first: RowKeys, second: RowKeys) -> bool:
        text, other = (splits[keys.split].text(keys.row) for keys in (first, second))
        return spaceless(text) == spaceless(other) or (latex and canonical(text).text == canonical(other).text)

    return same


def _shared_findings(
    splits: Mapping[str, Rows], keys_of_rows: Sequence[RowKeys], same_label: Same, *, near: bool
) -> Iterator[Finding]:
    pairs: list[Iterable[tuple[RowKeys, RowKeys, str]]] = [
        exact_duplicates(keys_of_rows, same_label),
        leaks(keys_of_rows),
    ]
    if near:
        pairs.append(near_duplicates(keys_of_rows, same_label))
    for kind_of_pairs in pairs:
        for keys, other, kind in kind_of_pairs:
            sample, other_sample = _sample(splits, keys), _sample(splits, other)
            location = f"{other.split} row {other.row} ({other_sample.id})"
            reason = REASONS[kind].format(location=location)
            if kind in ("two-labels", "near-two-labels"):
                reason += f": {_cut(sample.text)!r} here, {_cut(other_sample.text)!r} there"
            yield Finding(keys.split, keys.row, sample.id, sample.image.where, kind, reason, location, other[:2])


def _sample(splits: Mapping[str, Rows], keys: RowKeys) -> Sample:
    return splits[keys.split][keys.row]


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"


def _in_order(findings: Iterable[Finding], splits: Sequence[str]) -> list[Finding]:
    """The gravest kinds first, then by split and row."""
    kinds, split_order = list(KINDS), {split: number for number, split in enumerate(splits)}
    return sorted(findings, key=lambda finding: (kinds.index(finding.kind), split_order[finding.split], finding.row))
