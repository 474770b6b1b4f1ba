"""How many of the measured rows the run was trained on: rows whose image or label is also in train."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from texlens.config.run import RunConfig
from texlens.core.errors import DataError, one_line
from texlens.data.fingerprint import FileHashes, image_fingerprint
from texlens.data.sample import LazyImage, Sample
from texlens.inputs.build import read_split

UNREADABLE = "unreadable"
"""What `image_fingerprint` gives for an image that can't be read."""


@dataclass(frozen=True)
class TrainOverlap:
    """Counts of measured rows; `rows` are all of them, `either` those that share an image or a label with train.

    Labels are compared without white space, images by the bytes of their files. `problem` says why train could not be
    read; all counts are None then.
    """

    rows: int
    train_rows: int | None = None
    labels: int | None = None
    images: int | None = None
    either: int | None = None
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value != ""}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "TrainOverlap":
        return cls(**value)

    def sentence(self) -> str:
        """
        Example:
            "none of 621 rows shares an image or a label with train"
            "3 of 30 rows share an image or a label with train (1 an image, 3 a label)"
        """
        rows = f"{self.rows:,} row{'s' if self.rows != 1 else ''}"
        if self.either is None:
            return f"{rows}; not known whether they were trained on: {self.problem}"
        if not self.either:
            return f"none of {rows} shares an image or a label with train"
        verb = "shares" if self.either == 1 else "share"
        return (
            f"{self.either:,} of {rows} {verb} an image or a label with train "
            f"({self.images:,} an image, {self.labels:,} a label)"
        )


def train_overlap(
    saved: RunConfig, samples: Sequence[Sample], rows: int, on_row: Callable[[int], None] = lambda done: None
) -> TrainOverlap:
    """
    Args:
        saved: the settings in the run folder, which say what was trained on.
        samples: the measured rows that can be read.
        rows: all measured rows.
        on_row: called after each train row with how many were compared.
    """
    try:
        train = read_split(saved.data, "train")
    except (DataError, OSError) as error:
        return TrainOverlap(rows, problem=one_line(error, 200))
    labels = set(map(spaceless, train.texts()))
    images: set[str] = set()
    with FileHashes() as hashes:
        for index, sample in enumerate(train):
            labels.update(map(spaceless, sample.more_answers))
            images.update(_digests(sample.images, hashes))
            on_row(index + 1)
        same_image = [any(digest in images for digest in _digests(sample.images, hashes)) for sample in samples]
    same_label = [any(spaceless(answer) in labels for answer in sample.answers) for sample in samples]
    either = sum(label or image for label, image in zip(same_label, same_image, strict=True))
    return TrainOverlap(rows, len(train), sum(same_label), sum(same_image), either)


def spaceless(text: str) -> str:
    """
    Example:
        "x ^ 2" -> "x^2"
    """
    return "".join(text.split())


def _digests(images: Iterable[LazyImage], hashes: FileHashes) -> list[str]:
    """Hashes of the images that can be read, without their pixel budgets."""
    fingerprints = (image_fingerprint(image, hashes) for image in images)
    return [fingerprint.partition("@")[0] for fingerprint in fingerprints if fingerprint != UNREADABLE]
