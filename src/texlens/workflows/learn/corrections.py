"""Corrections of readings: an edits file whose rows are images by content. The newest label of an image counts.

A reading that is right is confirmed with the same text, and counts like a correction. An image that holds no formula
is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from texlens.core.errors import DataError
from texlens.data.edits.edit import Edit
from texlens.data.edits.log import EditLog
from texlens.latex.canonical.form import canonical
from texlens.workflows.learn.images import LearnImage, is_held_out


@dataclass(frozen=True)
class LabeledImage:
    image: LearnImage
    text: str


@dataclass(frozen=True)
class Corrections:
    """What has been done so far: labels of images that are there, and the keys of all that need no more work."""

    train: list[LabeledImage]
    hold_out: list[LabeledImage]
    done: frozenset[str]
    left_out: int
    changed: int
    """Labels that differ from the reading they were made from."""
    version: int


def corrections_of(
    log: EditLog, images: Mapping[str, LearnImage], share: float, version: int | None = None
) -> Corrections:
    """
    Args:
        images: by key.
        share: of the hold-out.
        version: of the corrections file; None is the newest.

    Raises:
        DataError: the corrections file is damaged.
    """
    version = log.version if version is None else version
    rows = {key: state for key, state in log.rows(version).items() if key in images}
    parts: dict[bool, list[LabeledImage]] = {True: [], False: []}
    for key, image in images.items():
        state = rows.get(key)
        if state is not None and state.label is not None and state.excluded is None:
            parts[is_held_out(key, share)].append(LabeledImage(image, state.label))
    return Corrections(
        train=parts[False],
        hold_out=parts[True],
        done=frozenset(key for key, state in rows.items() if state.label is not None or state.excluded is not None),
        left_out=sum(state.excluded is not None for state in rows.values()),
        changed=sum(_is_change(state.edits) for state in rows.values() if state.label is not None),
        version=version,
    )


def correct(log: EditLog, image: LearnImage, text: str, *, reading: str, who: str, note: str = "") -> Edit:
    """The image's text is `text`, which may be what was read.

    Raises:
        DataError: an empty text, or one that can't be stored.
    """
    text = text.strip()
    if not text:
        raise DataError(f"{image.name}: an empty text; write the formula, or leave the image out")
    if log.row(image.key).excluded is not None:
        log.append(image.key, "exclude", None, who=who, id=image.name)
    return log.append(image.key, "label", text, old=reading, who=who, note=note, id=image.name)


def leave_out(log: EditLog, image: LearnImage, *, who: str, why: str = "") -> Edit:
    """The image is neither trained on nor measured: it holds no formula, or can't be read by anybody."""
    return log.append(image.key, "exclude", why, who=who, id=image.name)


def undo(log: EditLog, key: str, *, who: str) -> Edit | None:
    """Takes the newest edit of an image back; None where nothing is in effect."""
    state = log.row(key)
    if not state.is_changed:
        return None
    kind = "exclude" if state.excluded is not None else "label"
    labels = [edit for edit in state.edits if edit.kind == "label" and edit.new is not None]
    earlier = labels[-2].new if kind == "label" and len(labels) > 1 else None
    return log.append(key, kind, earlier, who=who, note="undone", id=state.edits[-1].id)


def problem_of(text: str) -> str:
    """Why a correction is no formula, "" where it is one: to be shown, not refused."""
    problem = canonical(text).problem
    return "" if problem is None else str(problem)


def _is_change(edits: tuple[Edit, ...]) -> bool:
    first = next((edit for edit in edits if edit.kind == "label"), None)
    last = next((edit for edit in reversed(edits) if edit.kind == "label"), None)
    return first is not None and last is not None and first.old != last.new
