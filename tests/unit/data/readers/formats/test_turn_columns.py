import pyarrow as pa
import pytest

from texlens.core.errors import DataError
from texlens.data.readers.formats.turn_columns import with_turn_columns

CHAT = [
    {"role": "system", "content": "Be exact."},
    {"role": "user", "content": "<image>Read the left"},
    {"role": "assistant", "content": "x"},
    {"role": "user", "content": "and the right"},
    {"role": "assistant", "content": "y"},
]


def test_turns_become_the_columns_that_rows_are_read_from():
    table = with_turn_columns(pa.table({"id": ["7"], "messages": [CHAT]}), "set", "text")
    assert table.to_pylist() == [
        {
            "id": "7",
            "text": "y",
            "prompt": "and the right",
            "system": "Be exact.",
            "history": [{"role": "user", "content": "Read the left"}, {"role": "assistant", "content": "x"}],
        }
    ]


def test_a_table_with_texts_stays_as_it_is():
    table = pa.table({"text": ["x"], "messages": [CHAT]})
    assert with_turn_columns(table, "set", "text") is table


def test_a_row_that_is_no_conversation_is_named():
    with pytest.raises(DataError, match=r"set row 1: "):
        with_turn_columns(pa.table({"messages": [CHAT, CHAT[:2]]}), "set", "text")
