"""The state of a folder, and the pictures to correct, as the page is sent them."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from texlens.board.runs.appended_file import last_rows
from texlens.core.language import translated
from texlens.core.run_folder import MANIFEST, RunFolder
from texlens.data.edits.edit import Edit, rows_of

if TYPE_CHECKING:
    from texlens.workflows.learn.queue import QueuedImage
    from texlens.workflows.learn.session import LearnSession


def overview_json(session: "LearnSession") -> dict[str, Any]:
    overview = session.overview().to_json()
    unreadable = {name: translated(reason) for name, reason in overview["unreadable"].items()}
    return {
        "folder": str(session.folder.images),
        **overview,
        "unreadable": unreadable,
        "training": training(session),
    }


def training(session: "LearnSession") -> dict[str, Any] | None:
    """How far the round that is open is: its number, and step and loss of its training."""
    number = session.open_round()
    if number is None:
        return None
    run = session.folder.round_folder(number) / "run"
    if not (run / MANIFEST).is_file():
        return {"round": number, "step": None, "loss": None}
    steps = [row for row in last_rows(RunFolder(run).metrics) if "loss" in row]
    last = steps[-1] if steps else {}
    return {"round": number, "step": last.get("step"), "loss": last.get("loss")}


def queued_json(each: "QueuedImage") -> dict[str, Any]:
    """Which side a picture is on is not sent: nobody should correct one side more carefully."""
    return {
        "key": each.image.key,
        "name": each.image.name,
        "text": each.reading.text,
        "other_view": each.reading.other_view,
        "doubt": {**asdict(each.doubt), "problem": translated(each.doubt.problem)},
    }


def corrected_json(session: "LearnSession", count: int) -> list[dict[str, Any]]:
    """The last images that were worked on, the newest first, with their edits."""
    images = session.images.by_key
    newest: dict[str, Edit] = {}
    edits = session.folder.corrections.edits()
    for edit in reversed(edits):
        if edit.row in images and len(newest) < count:
            newest.setdefault(edit.row, edit)
    states = rows_of(edits)
    return [
        {
            "key": key,
            "name": images[key].name,
            "label": states[key].label,
            "excluded": states[key].excluded,
            "who": edit.who,
            "when": edit.when,
            "history": [asdict(each) for each in states[key].edits],
        }
        for key, edit in newest.items()
    ]
