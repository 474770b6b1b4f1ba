"""A new folder with what validation found fixed, and an account of every row: in = kept + rejected + merged."""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image, ImageOps

from texlens.core.errors import DataError
from texlens.data.folder.writer import FolderWriter
from texlens.data.load import Rows
from texlens.data.sample import LazyImage, RejectedRow, Sample
from texlens.data.validate.duplicates import Same
from texlens.data.validate.findings import DROPPED, KINDS
from texlens.data.validate.leaks import by_role
from texlens.data.validate.row_keys import RowKeys
from texlens.data.validate.run import Validation

Leaks = Literal["keep", "to-train", "out-of-train"]
RowPlace = tuple[str, int]


class RowAction(NamedTuple):
    """What becomes of a row: `reject` or `merge` for the `reason` of a `kind`, or `keep` in `split` after `changes`."""

    action: Literal["keep", "reject", "merge"]
    split: str
    kind: str = ""
    reason: str = ""
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fixed:
    """`account` is the folder's; the counts are of rows kept."""

    statistics: Mapping
    moved: int
    inverted: int
    padded: int

    def to_json(self) -> dict:
        counts = {name: self.statistics[name] for name in ("rows_in", "kept", "rejected", "merged", "rejected_by_kind")}
        splits = {split: statistics["kept"] for split, statistics in self.statistics["splits"].items()}
        return {**counts, "splits": splits, "moved": self.moved, "inverted": self.inverted, "padded": self.padded}


def plan_actions(
    validation: Validation, *, leaks: Leaks = "keep", drop: Iterable[str] = ()
) -> dict[RowPlace, RowAction]:
    """The rows that don't simply stay as they are.

    Args:
        leaks: `to-train` moves a row whose label or image is in an earlier split there; `out-of-train` leaves out
            the rows of earlier splits that are in later ones. Train comes before validation, that before test.
        drop: kinds whose rows are left out too.
    """
    dropped = {kind for kind, about in KINDS.items() if about.fixed == DROPPED} | set(drop)
    actions: dict[RowPlace, RowAction] = {}
    for finding in validation.findings:
        if finding.row < 0:
            continue
        row_place = finding.split, finding.row
        known = actions.get(row_place)
        if known is not None and known.action == "reject":
            continue
        if finding.kind in dropped:
            actions[row_place] = RowAction("reject", finding.split, finding.kind, finding.reason)
        elif finding.kind == "duplicate-row":
            actions[row_place] = RowAction("merge", finding.split, finding.kind, finding.reason)
        elif finding.kind in ("inverted", "aspect-ratio") and (known is None or known.action == "keep"):
            actions[row_place] = RowAction(
                "keep", finding.split, changes=(*(known.changes if known else ()), finding.kind)
            )
    resolve_leaks = {"keep": lambda *_: None, "to-train": _to_train, "out-of-train": _out_of_train}[leaks]
    resolve_leaks([keys for keys in validation.keys_of_rows if _stays(keys, actions)], actions, validation.same_label)
    return actions


def write_fixed(
    folder: Path,
    splits: Mapping[str, Rows],
    actions: Mapping[RowPlace, RowAction],
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
            for rejected_row in rows.rejected:
                if not writer.skip(split):
                    writer.reject(split, replace(rejected_row, kind="row-form"))
            for index in range(len(rows)):
                action = actions.get((split, index), RowAction("keep", split))
                counts["moved"] += action.action == "keep" and action.split != split
                counts.update(action.changes)
                if not writer.skip(action.split):
                    _offer(writer, split, rows[index], action, max_aspect)
                if on_progress is not None:
                    on_progress(1)
    return Fixed(writer.statistics, counts["moved"], counts["inverted"], counts["aspect-ratio"])


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
    return LazyImage(
        lambda: data,
        image.where,
        read_name=lambda: name and str(Path(name).with_suffix(".png")),
        max_pixels=image.max_pixels,
    )


def _padded(picture: Image.Image, max_aspect: int) -> Image.Image:
    """On white, in the middle of a canvas whose short side is just long enough."""
    short = -(-max(picture.size) // max_aspect)
    canvas = Image.new("RGB", (max(picture.width, short), max(picture.height, short)), "white")
    canvas.paste(picture, ((canvas.width - picture.width) // 2, (canvas.height - picture.height) // 2))
    return canvas


def _offer(writer: FolderWriter, split: str, sample: Sample, action: RowAction, max_aspect: int) -> None:
    if action.action == "merge":
        writer.merge(action.split)
        return
    if action.action == "reject":
        writer.reject(action.split, RejectedRow(sample.id, sample.image.where, action.reason, action.kind))
        return
    try:
        if action.split != split and not sample.id.startswith(f"{split}-"):
            sample = replace(sample, id=f"{split}-{sample.id}")
        writer.add(action.split, changed(sample, action.changes, max_aspect) if action.changes else sample)
    except DataError as error:
        writer.reject(action.split, RejectedRow.from_error(sample, error, "unreadable-image"))


def _stays(keys: RowKeys, actions: Mapping[RowPlace, RowAction]) -> bool:
    action = actions.get((keys.split, keys.row))
    return action is None or action.action == "keep"


def _out_of_train(keys_of_rows: Sequence[RowKeys], actions: dict[RowPlace, RowAction], _: Same) -> None:
    later: dict[tuple[str, bytes], RowKeys] = {}
    for split in reversed(by_role(dict.fromkeys(keys.split for keys in keys_of_rows))):
        kept_rows = []
        for keys in keys_of_rows:
            if keys.split != split:
                continue
            key = next((key for key in _shared(keys) if key in later), None)
            if key is None:
                kept_rows.append(keys)
            else:
                kind, other = key[0], later[key]
                reason = f"its {kind.split('-')[0]} is in {other.split} row {other.row}, which keeps it"
                actions[keys.split, keys.row] = RowAction("reject", split, kind, reason)
        for keys in kept_rows:
            for key in _shared(keys):
                later.setdefault(key, keys)


def _to_train(keys_of_rows: Sequence[RowKeys], actions: dict[RowPlace, RowAction], same_label: Same) -> None:
    home: dict[tuple[str, bytes], RowKeys] = {}
    order = {
        split: row_place for row_place, split in enumerate(by_role(dict.fromkeys(keys.split for keys in keys_of_rows)))
    }
    for keys in sorted(keys_of_rows, key=lambda keys: (order[keys.split], keys.row)):
        others = {kind: home[kind, value] for kind, value in _shared(keys) if (kind, value) in home}
        other = next((other for other in others.values() if _home(other, actions) != keys.split), None)
        if other is not None:
            target = _home(other, actions)
            same = others.get("image-leak")
            if same is not None and same.prompt == keys.prompt:
                actions[keys.split, keys.row] = _beside(same, target, equal=same_label(same, keys))
                continue
            known = actions.get((keys.split, keys.row))
            actions[keys.split, keys.row] = RowAction("keep", target, changes=known.changes if known else ())
        for key in _shared(keys):
            home.setdefault(key, keys)


def _beside(other: RowKeys, target: str, *, equal: bool) -> RowAction:
    """What to do with a row whose image is now in the same split twice."""
    if equal:
        return RowAction("merge", target, "duplicate-row", f"image and label of {other.split} row {other.row} again")
    return RowAction("reject", target, "two-labels", f"the same image as {other.split} row {other.row}, another label")


def _home(keys: RowKeys, actions: Mapping[RowPlace, RowAction]) -> str:
    action = actions.get((keys.split, keys.row))
    return action.split if action else keys.split


def _shared(keys: RowKeys) -> list[tuple[str, bytes]]:
    return [(kind, value) for kind, value in (("image-leak", keys.image), ("label-leak", keys.label)) if value]
