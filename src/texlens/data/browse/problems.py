"""What validation found, by row: badges of a row, and the rows that belong beside it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from texlens.data.validate.findings import KINDS, Finding
from texlens.data.validate.fix import RowPlace
from texlens.data.validate.run import Validation

PAIRS = ("duplicate-row", "two-labels", "near-duplicate", "near-two-labels", "image-leak", "label-leak", "near-leak")
"""Kinds that name another row."""


@dataclass(frozen=True)
class Badge:
    """One finding about a row; `other` is the row that it names."""

    kind: str
    severity: str
    title: str
    reason: str
    remedy: str
    other: RowPlace | None = None


class Problems:
    """Findings of a validation by row. `not_rows` are those about lines of a file that are no rows."""

    def __init__(self, findings: Iterable[Finding]):
        self._badges: dict[RowPlace, list[Badge]] = {}
        self.not_rows: list[Finding] = []
        self._groups = _Groups()
        for finding in findings:
            if finding.row < 0:
                self.not_rows.append(finding)
                continue
            row_place = finding.split, finding.row
            self._badges.setdefault(row_place, []).append(_badge(finding))
            if finding.other_row is not None:
                self._groups.join(row_place, finding.other_row)

    @classmethod
    def of(cls, validation: Validation) -> "Problems":
        return cls(validation.findings)

    def badges(self, row_place: RowPlace) -> Sequence[Badge]:
        """The gravest first."""
        return self._badges.get(row_place, ())

    @property
    def counts(self) -> Mapping[str, int]:
        """Rows by kind, the gravest kinds first."""
        counts = Counter(kind for badges in self._badges.values() for kind in {badge.kind for badge in badges})
        return {kind: counts[kind] for kind in KINDS if counts[kind]}

    def rows(self, split: str, kind: str | None = None) -> list[int]:
        """Rows of a split with a finding (of this kind), in order."""
        return sorted(
            row
            for (name, row), badges in self._badges.items()
            if name == split and (kind is None or any(badge.kind == kind for badge in badges))
        )

    def beside(self, row_place: RowPlace) -> list[RowPlace]:
        """The row and all rows with its image, nearly its image, or its label in another split; itself alone where
        there are none."""
        return self._groups.members(row_place)


class _Groups:
    """Rows joined pairwise; those that are connected form a group."""

    def __init__(self) -> None:
        self._group: dict[RowPlace, list[RowPlace]] = {}

    def join(self, first: RowPlace, second: RowPlace) -> None:
        groups = [self._group.setdefault(row_place, [row_place]) for row_place in (first, second)]
        if groups[0] is groups[1]:
            return
        smaller, larger = sorted(groups, key=len)
        larger += smaller
        for row_place in smaller:
            self._group[row_place] = larger

    def members(self, row_place: RowPlace) -> list[RowPlace]:
        return sorted(self._group.get(row_place, [row_place]))


def _badge(finding: Finding) -> Badge:
    kind = KINDS[finding.kind]
    return Badge(finding.kind, kind.severity, kind.title, finding.reason, kind.remedy, finding.other_row)
