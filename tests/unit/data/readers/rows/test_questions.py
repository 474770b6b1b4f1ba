import json

import pytest

from texlens.core.errors import DataError
from texlens.data.readers.protocol import ReadOptions
from texlens.data.readers.rows.fields import record_of_fields
from texlens.data.readers.rows.questions import json_questions, parse_questions, stored_questions
from texlens.data.sample import Question, Turn

ITEM = {"prompt": "Count.", "text": "x:1", "task": "counting"}


def test_questions_are_prompt_text_and_task():
    questions = parse_questions([ITEM, {"prompt": "Again", "text": "x"}])
    assert questions == (Question("Count.", "x:1", "counting"), Question("Again", "x"))
    assert stored_questions(questions) == [ITEM, {"prompt": "Again", "text": "x", "task": None}]
    assert json_questions(questions) == [ITEM, {"prompt": "Again", "text": "x"}]
    assert parse_questions(stored_questions(questions)) == questions


@pytest.mark.parametrize("value", [None, []])
def test_no_questions(value):
    assert parse_questions(value) == ()
    assert stored_questions(()) is json_questions(()) is None


@pytest.mark.parametrize(
    ("value", "options", "reason"),
    [
        ("Count.", {}, "holds str, not a list"),
        (["Count."], {}, "question 1 .* is str, not an object"),
        ([ITEM, {"prompt": "a"}], {}, "question 2 .* has no text"),
        ([{"prompt": " ", "text": "x"}], {}, "has no prompt"),
        ([{**ITEM, "answer": "x"}], {}, "has 'answer'; it holds prompt, text, task"),
        ([{**ITEM, "task": 3}], {}, "a task of int"),
        ([{**ITEM, "prompt": "Is <image> a sum?"}], {}, "<image> within a question"),
        ([ITEM], {"prompt": "Read <image>"}, "<image> within a question"),
        ([ITEM], {"history": (Turn("user", "a"), Turn("assistant", "b"))}, "beside earlier turns"),
    ],
)
def test_what_is_no_question_is_an_error(value, options, reason):
    with pytest.raises(DataError, match=reason):
        parse_questions(value, **options)


def test_rows_of_fields_have_questions(tmp_path):
    row = {"image": "a.png", "text": "x", "more_questions": [ITEM]}
    record = record_of_fields(row, tmp_path, ReadOptions())
    assert record.more_questions == (Question("Count.", "x:1", "counting"),)
    assert "more_questions" not in record.extra
    assert json.dumps(dict(record.extra)) == "{}"
