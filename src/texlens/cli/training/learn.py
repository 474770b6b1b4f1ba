"""`texlens learn`"""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from texlens.cli.shared import Json, Overrides, message_console, print_json, result_console

if TYPE_CHECKING:
    from texlens.workflows.learn.session import LearnSession

SHOWN = 10


def learn(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of images; learn/ in it keeps the state.")],
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="The reader to begin with: a run; default: the bundled model.")
    ] = None,
    second: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Another reader; where the two differ, images are doubtful.")
    ] = None,
    hold_out: Annotated[
        float | None, typer.Option(help="Share of the images that only measure; default 0.25, fixed by the first call.")
    ] = None,
    correct: Annotated[
        bool, typer.Option("--correct", help="Correct in this terminal, the most doubtful first.")
    ] = False,
    corrections: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Take corrections from a CSV, TSV, JSON or JSON lines file.")
    ] = None,
    queue: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Write what is to be corrected, to be filled in there.")
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Train on the corrections, test on the hold-out, keep or discard.")
    ] = False,
    keep: Annotated[
        int | None, typer.Option(metavar="ROUND", help="Keep the last round by hand, whatever the test says.")
    ] = None,
    discard: Annotated[int | None, typer.Option(metavar="ROUND", help="Discard the last round by hand.")] = None,
    rehearsal: Annotated[
        int, typer.Option(min=0, help="Rows of the old kind to train on too, so that nothing is forgotten.")
    ] = 100,
    rehearsal_data: Annotated[
        str, typer.Option(metavar="DIR", help="Take them from this data set; default: the data of the first reader.")
    ] = "",
    who: Annotated[str | None, typer.Option(help="Your name in the record of corrections; default: the login.")] = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Read a folder of images, correct the doubtful readings, train on the corrections, and prove that it got better.

    Some images are kept aside by their content: they are corrected like the others but only ever measure. A trained
    model is kept if it reads more of them right, with p < 0.05. Everything is in FOLDER/learn and goes on after a kill.

    Examples:

        texlens learn photos --model runs/nano

        texlens learn photos --correct

        texlens learn photos --queue todo.csv

        texlens learn photos --corrections todo.csv --train

        texlens read new.png --model photos/learn/rounds/1/run
    """
    from texlens.core.errors import ConfigError
    from texlens.workflows.learn.session import LearnSession

    if keep is not None and discard is not None:
        raise ConfigError("--keep and --discard: name one of the two")
    messages = message_console()
    session = LearnSession(folder, model=model, hold_out=hold_out, second=second, console=messages)
    who = who or _login()
    _read(session)
    if corrections is not None:
        _import(session, corrections, who)
    if queue is not None:
        _write_queue(session, queue)
    if correct:
        from texlens.cli.training.correct_in_terminal import correct_in_terminal

        correct_in_terminal(session, who)
    result = (
        session.train(rehearsal=rehearsal, rehearsal_data=rehearsal_data, overrides=overrides or ()) if train else None
    )
    number = keep if keep is not None else discard
    if number is not None:
        session.choose(number, keep=keep is not None, who=who)
    if result is not None and result["kept"]:
        _read(session)
    if as_json:
        print_json({**session.overview().to_json(), "result": result, "queue": _queue_json(session)})
        return
    _show(session, result)


def _read(session: "LearnSession") -> None:
    console = message_console()
    with console.status("reading") as status:
        session.read(lambda doing, done, total: status.update(f"{doing}: {done:,} of {total:,}"))


def _import(session: "LearnSession", path: Path, who: str) -> None:
    from texlens.workflows.learn.correction_files import import_corrections

    log = session.folder.corrections
    counts = import_corrections(path, session.folder.images, session.images, session.readings(), log, who=who)
    message_console().print(
        f"{path}: {counts.corrected:,} corrections, {counts.left_out:,} left out, {counts.known:,} known already, "
        f"{counts.empty:,} without a text"
    )


def _write_queue(session: "LearnSession", path: Path) -> None:
    from texlens.workflows.learn.correction_files import write_queue

    images = session.queue()
    write_queue(path, images)
    message_console().print(f"{path}: {len(images):,} images; fill in the column text, then --corrections {path}")


def _queue_json(session: "LearnSession") -> list[dict]:
    return [
        {"image": each.image.name, "reading": each.reading.text, "doubt": each.doubt.value, "held_out": each.held_out}
        for each in session.queue()
    ]


def _show(session: "LearnSession", result: dict | None) -> None:
    console = result_console()
    overview = session.overview()
    done, state = overview.corrections, overview.state
    console.print(f"model: {state.model}")
    console.print(
        f"{len(overview.images.by_key):,} images, {overview.read:,} read; corrected: {len(done.train):,} to train on, "
        f"{len(done.hold_out):,} held out, {done.left_out:,} left out"
    )
    for name, reason in overview.images.unreadable.items():
        message_console().print(f"{name}: {reason}", style="yellow", markup=False)
    for each in [result] if result else state.rounds:
        console.print(f"round {each['number']}: {each['sentence']}", markup=False)
        if each.get("chosen_by"):
            console.print(f"  {'kept' if each['kept'] else 'discarded'} by {each['chosen_by']}", markup=False)
    waiting = session.queue()
    for each in waiting[:SHOWN]:
        problem = f"  ({each.doubt.problem})" if each.doubt.problem else ""
        console.print(f"{each.doubt.value:.2f}  {each.image.name}  {each.reading.latex}{problem}", markup=False)
    if len(waiting) > SHOWN:
        console.print(f"and {len(waiting) - SHOWN:,} more to correct")
    console.print(next_step(session, waiting=len(waiting)))


def next_step(session: "LearnSession", *, waiting: int) -> str:
    """What to do now."""
    from texlens.workflows.learn.session import missing_corrections

    folder = session.folder.images
    if session.open_round() is not None:
        return f"next: texlens learn {folder} --train goes on with round {session.open_round()}"
    missing = missing_corrections(session.corrections())
    if missing and waiting:
        return f"next: texlens learn {folder} --correct ({missing})"
    if missing:
        return f"next: add images to {folder} ({missing})"
    return f"next: texlens learn {folder} --train"


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
