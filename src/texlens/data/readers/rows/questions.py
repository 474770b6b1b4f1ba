"""The field `more_questions`: further questions about a row's image, each with its answer.

    {"image": "7.png", "text": "x ^ 2", "more_questions": [
        {"prompt": "Count the symbols.", "text": "x:1 2:1", "task": "counting"}]}

All formats of JSON rows, CSV (a cell of JSON) and our parquet folders have it. Training computes the image once for
all of a row's questions; reading and evaluation ask the row's own question alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from texlens.core.errors import DataError
from texlens.data.sample import IMAGE_PLACEHOLDER, Question, Turn

FIELD = "more_questions"
KEYS = ("prompt", "text", "task")


def parse_questions(value: object, history: Sequence[Turn] = (), prompt: str | None = None) -> tuple[Question, ...]:
    """
    Args:
        value: of the field; None and [] are no questions.
        history, prompt: of the row.

    Raises:
        DataError: another form, an empty text, an image's position within a question, or earlier turns in the row.
    """
    if value in (None, []):
        return ()
    if not isinstance(value, list):
        raise DataError(f"{FIELD!r} holds {type(value).__name__}, not a list of questions; correct it")
    if history:
        raise DataError(f"{FIELD!r} beside earlier turns; put one of the two into a row of its own")
    questions = tuple(_question(number, item) for number, item in enumerate(value, 1))
    for text in (prompt or "", *(question.prompt for question in questions)):
        if IMAGE_PLACEHOLDER in text:
            raise DataError(f"{IMAGE_PLACEHOLDER} within a question of several; all share the image before them")
    return questions


def stored_questions(questions: Sequence[Question]) -> list[dict[str, Any]] | None:
    """The value of the field; None where there are none."""
    return [{name: getattr(question, name) for name in KEYS} for question in questions] or None


def json_questions(questions: Sequence[Question]) -> list[dict[str, str]] | None:
    """As `stored_questions`, without tasks that are not named."""
    stored = stored_questions(questions) or []
    return [{name: text for name, text in question.items() if text is not None} for question in stored] or None


def _question(number: int, item: object) -> Question:
    if not isinstance(item, Mapping):
        raise DataError(f"question {number} of {FIELD!r} is {type(item).__name__}, not an object; correct it")
    if unknown := [name for name, value in item.items() if name not in KEYS and value is not None]:
        raise DataError(f"question {number} of {FIELD!r} has {unknown[0]!r}; it holds {', '.join(KEYS)}")
    for name in ("prompt", "text"):
        if not isinstance(item.get(name), str) or not item[name].strip():
            raise DataError(f"question {number} of {FIELD!r} has no {name}; fill it or remove the question")
    task = item.get("task")
    if task is not None and not isinstance(task, str):
        raise DataError(f"question {number} of {FIELD!r} has a task of {type(task).__name__}; write its name")
    return Question(item["prompt"], item["text"], task or None)
