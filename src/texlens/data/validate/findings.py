"""What validation can find, and how bad each kind is.

Errors make a row useless or a score wrong; warnings are worth a look; notes say what the loader corrects without help.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Kind:
    """One thing that can be wrong. `remedy` is what a person does, `fixed` what `--fix` does (None: nothing)."""

    severity: Severity
    title: str
    remedy: str
    fixed: str | None = None


DROPPED = "the row is left out"
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "row-form": Kind("error", "not a row", "fix the row in its file", DROPPED),
        "unreadable-image": Kind("error", "unreadable image", "replace or remove the image", DROPPED),
        "damaged-image": Kind("error", "damaged image", "replace the image", DROPPED),
        "blank-image": Kind("error", "blank image", "remove the row, or put the right image there", DROPPED),
        "aspect-ratio": Kind("error", "too long for its height", "pad or crop the image", "padded with white"),
        "empty-answer": Kind("error", "empty answer", "fill in the text or remove the row", DROPPED),
        "long-answer": Kind("error", "over the context", "shorten the text, or raise --context", DROPPED),
        "special-token": Kind("error", "special token in a text", "rewrite the text", DROPPED),
        "two-labels": Kind("error", "one image, two labels", "keep the row whose label is right", DROPPED),
        "image-leak": Kind("error", "image in two splits", "take it out of one: --fix --leaks", "as --leaks says"),
        "label-leak": Kind(
            "warning", "label in two splits", "divide by label: texlens data split --by label", "as --leaks says"
        ),
        "near-leak": Kind("warning", "near-equal image in two splits", "look at both; take out the copy"),
        "duplicate-row": Kind("warning", "same image and label again", "keep one", "merged into the first"),
        "near-duplicate": Kind("warning", "near-equal image, same label", "look at both; keep one if it is a copy"),
        "near-two-labels": Kind("warning", "near-equal images, two labels", "look at both; one label may be wrong"),
        "inverted": Kind("warning", "light on dark", "invert it: --fix, or a domain of its own", "inverted"),
        "small-image": Kind("warning", "too small to read", "scan or draw it larger"),
        "large-image": Kind("warning", "scaled down", "raise --max-pixels, or crop the image"),
        "encoding": Kind("warning", "wrong encoding", "read the source as UTF-8 again"),
        "latex-parse": Kind("warning", "LaTeX does not parse", "fix the label, or remove the row"),
        "latex-render": Kind("warning", "LaTeX does not render", "fix the label, or remove the row"),
        "exif-orientation": Kind("note", "turned upright by the loader", "nothing: EXIF orientation is applied"),
        "transparency": Kind("note", "transparency laid on white", "nothing; check that the ink is dark"),
        "color-mode": Kind("note", "converted to RGB", "nothing; check that colors look right"),
    }
)


@dataclass(frozen=True)
class Finding:
    """Something about one row. `row` is its place in the split, `where` its file; `other` names the row that it equals,
    `other_row` is that row's split and place."""

    split: str
    row: int
    id: str
    where: str
    kind: str
    reason: str
    other: str = ""
    other_row: tuple[str, int] | None = None

    @property
    def severity(self) -> Severity:
        return KINDS[self.kind].severity

    @property
    def remedy(self) -> str:
        return KINDS[self.kind].remedy

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}; {self.remedy}"

    def to_json(self) -> dict:
        return {
            "kind": self.kind,
            "severity": self.severity,
            "split": self.split,
            "row": self.row,
            "id": self.id,
            "where": self.where,
            "reason": self.reason,
            "remedy": self.remedy,
            **({"other": self.other} if self.other else {}),
        }


def counted(findings: Iterable[Finding]) -> dict[str, int]:
    """Findings by kind, the gravest kinds first."""
    counts = Counter(finding.kind for finding in findings)
    return {kind: counts[kind] for kind in KINDS if counts[kind]}
