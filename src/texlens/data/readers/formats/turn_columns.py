"""Tables whose rows are conversations (`conversations` or `messages`, with `images`): their turns as columns."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from texlens.core.errors import DataError
from texlens.data.readers.formats.conversations import parse_conversation
from texlens.data.readers.rows.record import Record
from texlens.data.readers.rows.table import TURN_COLUMNS
from texlens.data.sample import IMAGE_PLACEHOLDER

COLUMNS = ("text", "prompt", "system", "history")
HISTORY = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


def with_turn_columns(table: pa.Table, where: str, text_column: str) -> pa.Table:
    """The table with text, prompt, system and history in place of its turns; unchanged where it has a text column.

    Raises:
        DataError: the first row that is no conversation.
    """
    turns = next((name for name in TURN_COLUMNS if name in table.column_names), None)
    if turns is None or text_column in table.column_names:
        return table
    rows = [_row(value, row, where) for row, value in enumerate(table.column(turns).to_pylist())]
    others = table.drop_columns([name for name in (turns, *COLUMNS) if name in table.column_names])
    for name in COLUMNS:
        values = [row[name] for row in rows]
        if name == "text" or any(value is not None for value in values):
            others = others.append_column(name, pa.array(values, HISTORY if name == "history" else pa.string()))
    return others


def _row(turns: Any, row: int, where: str) -> Mapping[str, Any]:
    try:
        record = _parsed(turns)
    except DataError as error:
        raise DataError(f"{where} row {row}: {error}") from error
    history = [{"role": turn.role, "content": turn.text} for turn in record.history]
    return {"text": record.text, "prompt": record.prompt, "system": record.system, "history": history or None}


def _parsed(turns: Any) -> Record:
    """The turns as a row of JSON would have them; the table's images stand for the names that JSON has."""
    texts = [str(turn.get("value") or turn.get("content") or "") for turn in turns or () if isinstance(turn, dict)]
    count = max(1, sum(text.count(IMAGE_PLACEHOLDER) for text in texts))
    return parse_conversation({"conversations": turns, "images": [f"{number}.png" for number in range(count)]}, Path())
