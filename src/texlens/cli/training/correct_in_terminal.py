"""Correcting readings in a terminal: the reading is shown, a line is the answer."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from texlens.cli.shared import result_console
from texlens.core.errors import DataError

if TYPE_CHECKING:
    from texlens.workflows.learn.queue import QueuedImage
    from texlens.workflows.learn.session import LearnSession

HELP = "Enter: it is right | LaTeX: the right text | s: skip | x: no formula, leave it out | u: undo the last | q: quit"


def correct_in_terminal(session: "LearnSession", who: str, ask: Callable[[str], str] = input) -> int:
    """The number of images that were corrected, confirmed or left out; the end of the input ends it.

    Args:
        ask: shows a text and returns a line.
    """
    from texlens.workflows.learn.corrections import undo

    console = result_console()
    console.print(HELP)
    last: list[str] = []
    waiting = session.queue()
    number = 0
    while number < len(waiting):
        each = waiting[number]
        _show(each, number, len(waiting))
        try:
            answer = ask("> ").strip()
        except (EOFError, KeyboardInterrupt):
            break
        if answer == "q":
            break
        if answer == "u":
            if not last:
                console.print("nothing to undo")
                continue
            undo(session.folder.corrections, last.pop(), who=who)
            number -= 1
        elif answer == "s" and number < len(waiting) - 1:
            waiting.append(waiting.pop(number))
        elif answer == "s":
            number += 1
        elif _take(session, each, answer, who):
            last.append(each.image.key)
            number += 1
    return len(last)


def _show(each: "QueuedImage", number: int, count: int) -> None:
    console = result_console()
    reason = each.doubt.problem or f"confidence {each.doubt.confidence:.2f}"
    console.print(f"[{number + 1}/{count}] {each.image.path}  (doubt {each.doubt.value:.2f}, {reason})", markup=False)
    console.print(f"  {each.reading.latex}", markup=False)


def _take(session: "LearnSession", each: "QueuedImage", answer: str, who: str) -> bool:
    """Whether the answer was taken; one that is no formula is shown why, and taken all the same."""
    from texlens.workflows.learn.corrections import correct, leave_out, problem_of

    log = session.folder.corrections
    try:
        if answer == "x":
            leave_out(log, each.image, who=who)
            return True
        text = answer or each.reading.text
        correct(log, each.image, text, reading=each.reading.text, who=who)
    except DataError as error:
        result_console().print(f"  {error}", markup=False)
        return False
    if problem := problem_of(text):
        result_console().print(f"  note: not a formula as it stands: {problem}; u takes it back", markup=False)
    return True
