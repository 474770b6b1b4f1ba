"""A new folder with what validation found mended, and an account of every row: in = kept + refused + merged."""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image, ImageOps

from texlens.core.errors import DataError
from texlens.data.folder import FolderWriter
from texlens.data.load import Rows
from texlens.data.sample import LazyImage, Refusal, Sample
from texlens.data.validate.duplicates import Same
from texlens.data.validate.findings import DROPPED, KINDS
from texlens.data.validate.leaks import by_role
from texlens.data.validate.row_keys import Mark
from texlens.data.validate.run import Validation

Leaks = Literal["keep", "to-train", "out-of-train"]
Place = tuple[str, int]


class Fate(NamedTuple):
    """What becomes of a row: `refuse` or `merge` for the `reason` of a `kind`, or `keep` in `split` after `changes`."""

    action: Literal["keep", "refuse", "merge"]
    split: str
    kind: str = ""
    reason: str = ""
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fixed:
    """`account` is the folder's; the counts are of rows kept."""

    account: Mapping
    moved: int
    inverted: int
    padded: int

    def to_json(self) -> dict:
        counts = {name: self.account[name] for name in ("rows_in", "kept", "refused", "merged", "refused_by_kind")}
        splits = {split: account["kept"] for split, account in self.account["splits"].items()}
        return {**counts, "splits": splits, "moved": self.moved, "inverted": self.inverted, "padded": self.padded}


def plan_fates(validation: Validation, *, leaks: Leaks = "keep", drop: Iterable[str] = ()) -> dict[Place, Fate]:
    """The rows that don't simply stay as they are.

    Args:
        leaks: `to-train` moves a row whose label or image stands in an earlier split there; `out-of-train` leaves out
            the rows of earlier splits that stand in later ones. Train comes before validation, that before test.
        drop: kinds whose rows are left out too.
    """
    dropped = {kind for kind, about in KINDS.items() if about.fixed == DROPPED} | set(drop)
    fates: dict[Place, Fate] = {}
    for finding in validation.findings:
        if finding.row < 0:
            continue
        place = finding.split, finding.row
        known = fates.get(place)
        if known is not None and known.action == "refuse":
            continue
        if finding.kind in dropped:
            fates[place] = Fate("refuse", finding.split, finding.kind, finding.reason)
        elif finding.kind == "duplicate-row":
            fates[place] = Fate("merge", finding.split, finding.kind, finding.reason)
        elif finding.kind in ("inverted", "aspect-ratio") and (known is None or known.action == "keep"):
            fates[place] = Fate("keep", finding.split, changes=(*(known.changes if known else ()), finding.kind))
    settle = {"keep": lambda *_: None, "to-train": _to_train, "out-of-train": _out_of_train}[leaks]
    settle([mark for mark in validation.marks if _stays(mark, fates)], fates, validation.same_label)
    return fates


def write_fixed(
    folder: Path,
    splits: Mapping[str, Rows],
    fates: Mapping[Place, Fate],
    *,
    made_by: Mapping,
    max_aspect: int,
    overwrite: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> Fixed:
    """Writes the folder; taken up again after a kill.

    Raises:
        DataError: the folder holds something else, or no row was kept.
    """
    counts: Counter[str] = Counter()
    with FolderWriter(folder, made_by=made_by, resume=True, overwrite=overwrite) as writer:
        for split, rows in splits.items():
            for refusal in rows.refused:
                if not writer.skip(split):
                    writer.refuse(split, replace(refusal, kind="row-form"))
            for index in range(len(rows)):
                fate = fates.get((split, index), Fate("keep", split))
                counts["moved"] += fate.action == "keep" and fate.split != split
                counts.update(fate.changes)
                if not writer.skip(fate.split):
                    _offer(writer, split, rows[index], fate, max_aspect)
                if on_progress is not None:
                    on_progress(1)
    return Fixed(writer.account, counts["moved"], counts["inverted"], counts["aspect-ratio"])


def changed(sample: Sample, changes: Sequence[str], max_aspect: int) -> Sample:
    """The row with its images inverted (`inverted`) or padded (`aspect-ratio`), as PNG.

    Raises:
        DataError: an image can't be decoded.
    """
    first, *others = [_changed(image, changes, max_aspect) for image in sample.images]
    return replace(sample, image=first, more_images=tuple(others))


def _changed(image: LazyImage, changes: Sequence[str], max_aspect: int) -> LazyImage:
    picture = image.load()
    if "inverted" in changes:
        picture = ImageOps.invert(picture)
    if "aspect-ratio" in changes:
        picture = _padded(picture, max_aspect)
    if picture.convert("L").convert("RGB").tobytes() == picture.tobytes():
        picture = picture.convert("L")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    data, name = buffer.getvalue(), image.name
    return LazyImage(lambda: data, image.where, read_name=lambda: name and str(Path(name).with_suffix(".png")))


def _padded(picture: Image.Image, max_aspect: int) -> Image.Image:
    """On white, in the middle of a canvas whose short side is just long enough."""
    short = -(-max(picture.size) // max_aspect)
    canvas = Image.new("RGB", (max(picture.width, short), max(picture.height, short)), "white")
    canvas.paste(picture, ((canvas.width - picture.width) // 2, (canvas.height - picture.height) // 2))
    return canvas


def _offer(writer: FolderWriter, split: str, sample: Sample, fate: Fate, max_aspect: int) -> None:
    if fate.action == "merge":
        writer.merge(fate.split)
        return
    if fate.action == "refuse":
        writer.refuse(fate.split, Refusal(sample.id, sample.image.where, fate.reason, fate.kind))
        return
    try:
        if fate.split != split and not sample.id.startswith(f"{split}-"):
            sample = replace(sample, id=f"{split}-{sample.id}")
        writer.add(fate.split, changed(sample, fate.changes, max_aspect) if fate.changes else sample)
    except DataError as error:
        writer.refuse(fate.split, Refusal.of(sample, error, "unreadable-image"))


def _stays(mark: Mark, fates: Mapping[Place, Fate]) -> bool:
    fate = fates.get((mark.split, mark.row))
    return fate is None or fate.action == "keep"


def _out_of_train(marks: Sequence[Mark], fates: dict[Place, Fate], _: Same) -> None:
    later: dict[tuple[str, bytes], Mark] = {}
    for split in reversed(by_role(dict.fromkeys(mark.split for mark in marks))):
        kept = []
        for mark in marks:
            if mark.split != split:
                continue
            key = next((key for key in _shared(mark) if key in later), None)
            if key is None:
                kept.append(mark)
            else:
                kind, twin = key[0], later[key]
                reason = f"its {kind.split('-')[0]} stands in {twin.split} row {twin.row}, which keeps it"
                fates[mark.split, mark.row] = Fate("refuse", split, kind, reason)
        for mark in kept:
            for key in _shared(mark):
                later.setdefault(key, mark)


def _to_train(marks: Sequence[Mark], fates: dict[Place, Fate], same_label: Same) -> None:
    home: dict[tuple[str, bytes], Mark] = {}
    order = {split: place for place, split in enumerate(by_role(dict.fromkeys(mark.split for mark in marks)))}
    for mark in sorted(marks, key=lambda mark: (order[mark.split], mark.row)):
        twins = {kind: home[kind, value] for kind, value in _shared(mark) if (kind, value) in home}
        twin = next((twin for twin in twins.values() if _home(twin, fates) != mark.split), None)
        if twin is not None:
            target = _home(twin, fates)
            same = twins.get("image-leak")
            if same is not None and same.question == mark.question:
                fates[mark.split, mark.row] = _beside(same, target, equal=same_label(same, mark))
                continue
            known = fates.get((mark.split, mark.row))
            fates[mark.split, mark.row] = Fate("keep", target, changes=known.changes if known else ())
        for key in _shared(mark):
            home.setdefault(key, mark)


def _beside(twin: Mark, target: str, *, equal: bool) -> Fate:
    """The fate of a row whose image came to stand in one split with its twin."""
    if equal:
        return Fate("merge", target, "duplicate-row", f"image and label of {twin.split} row {twin.row} again")
    return Fate("refuse", target, "two-labels", f"the same image as {twin.split} row {twin.row}, another label")


def _home(mark: Mark, fates: Mapping[Place, Fate]) -> str:
    fate = fates.get((mark.split, mark.row))
    return fate.split if fate else mark.split


def _shared(mark: Mark) -> list[tuple[str, bytes]]:
    return [(kind, value) for kind, value in (("image-leak", mark.image), ("label-leak", mark.label)) if value]
