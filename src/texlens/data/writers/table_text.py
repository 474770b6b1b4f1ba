"""CSV: `image_path,text,id,prompt,system,domain,answers,more_questions,extra`; what no cell can hold is JSON in the
last three.

A row of several images or earlier turns has no place in it and is rejected.
"""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from texlens.core.errors import DataError
from texlens.data.readers.formats.csv_table import record_of_cells
from texlens.data.readers.protocol import ReadOptions
from texlens.data.readers.rows.questions import json_questions
from texlens.data.readers.rows.record import Record
from texlens.data.sample import Sample
from texlens.data.writers.protocol import RowFormat, json_line

COLUMNS = ("image_path", "text", "id", "prompt", "system", "domain", "answers", "more_questions", "extra")


def _line(sample: Sample, files: Sequence[str]) -> str:
    if len(files) > 1 or sample.history:
        what = "images" if len(files) > 1 else "turns"
        raise DataError(f"{sample.image.where}: csv holds no row of several {what}; export to messages or hf")
    extra = {name: value for name, value in sample.extra.items() if value is not None}
    answers = json.dumps(list(sample.answers), ensure_ascii=False) if sample.more_answers else ""
    extra_cell = json_line(extra, sample) if extra else ""
    questions = json_questions(sample.more_questions)
    question_cell = json.dumps(questions, ensure_ascii=False) if questions else ""
    texts = [sample.text, sample.id, sample.prompt, sample.system, sample.domain]
    cells = [files[0], *texts, answers, question_cell, extra_cell]
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().removesuffix("\r\n")


def _read(text: str, folder: Path) -> Record:
    cells = next(csv.reader(io.StringIO(text, newline=""), strict=True))
    return record_of_cells(COLUMNS, cells, folder, ReadOptions())


CSV = RowFormat("csv", ".csv", _line, _read, head=",".join(COLUMNS) + "\n")
