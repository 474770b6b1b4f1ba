"""The pictures of a comparison's rows: images by id from the run's data, formulas drawn with colored differences."""

from texlens.board.last_used import LastUsed
from texlens.config.data import DataSettings
from texlens.config.load import load_saved_config
from texlens.core.errors import DataError, LatexError
from texlens.core.run_folder import RunFolder
from texlens.data.load import Rows
from texlens.html.pictures import MAX_DRAWN_TOKENS, data_uri
from texlens.latex.parse.tokens import tokenize
from texlens.latex.render.formats import render_svg
from texlens.metrics.cdm.difference_svg import differences_svg

MAX_OPEN = 2
"""Data sets that stay open; only ids and places are in memory, not images."""


class RowImages:
    """Images of a run's rows by id."""

    def __init__(self) -> None:
        self._open: LastUsed[tuple[str, str], tuple[Rows, dict[str, int]]] = LastUsed(MAX_OPEN)

    def image(self, run: RunFolder, split: str, row: str) -> str:
        """A data URI.

        Raises:
            ConfigError, DataError: no such split or row, or its image can't be read.
        """
        data = load_saved_config(run.config).data
        rows, places = self._open.get((split, data.model_dump_json()), lambda: _rows(data, split))
        if row not in places:
            raise DataError(f"row {row[:80]!r} is not in split {split} any more")
        return data_uri(rows[places[row]].image)


def drawings(reference: str, text: str) -> dict[str, str | None]:
    """SVG of both with what differs colored; `problem` says why there is none of the reading."""
    if max(len(tokenize(reference)), len(tokenize(text))) > MAX_DRAWN_TOKENS:
        return {"reference": None, "text": None, "problem": f"over {MAX_DRAWN_TOKENS} tokens"}
    try:
        if tokenize(text) and reference != text:
            first, second = differences_svg(reference, text)
            return {"reference": first, "text": second, "problem": None}
    except LatexError:
        pass  # one of the two can't be drawn: each alone, below
    first, _ = _drawn(reference)
    second, problem = _drawn(text)
    return {"reference": first, "text": second, "problem": problem}


def _rows(data: DataSettings, split: str) -> tuple[Rows, dict[str, int]]:
    from texlens.inputs.build import read_split

    rows = read_split(data, split)
    return rows, {sample.id: index for index, sample in enumerate(rows)}


def _drawn(formula: str) -> tuple[str | None, str | None]:
    try:
        return (render_svg(formula), None) if tokenize(formula) else (None, "empty")
    except LatexError as error:
        return None, str(error)
