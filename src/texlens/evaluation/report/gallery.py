"""The rows of a report as data for the page: tokens, differences, outcomes, pictures."""

from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest

from rapidfuzz.distance import Levenshtein

from texlens.core.errors import DataError
from texlens.data.sample import LazyImage
from texlens.evaluation.comparison import Comparison
from texlens.html.pictures import Drawings, data_uri
from texlens.latex.parse.tokens import tokenize
from texlens.metrics.prediction import Prediction
from texlens.metrics.scores import RowScore

OUTCOMES = {
    "fixed": "Only {system} right",
    "broken": "Only {reference} right",
    "wrong": "Both wrong",
    "right": "Both right",
}
_LETTER = {"equal": "=", "replace": "s", "insert": "i", "delete": "d"}


def gallery(
    comparison: Comparison, images: Mapping[str, LazyImage], drawings: Drawings, most_image_bytes: int
) -> tuple[list[dict], int, int]:
    """Rows in order of id; how many have their image; how many of them are drawn in full.

    Pictures go to the rows that a reader opens first: the worst of each outcome in turn, until a budget is spent.
    """
    rows = [row_entry(comparison, index) for index in range(comparison.rows)]
    order = _order_of_interest(rows)
    shown = _add_images([rows[index] for index in order], images, most_image_bytes)
    drawn = sum(add_drawings(rows[index], _row_predictions(comparison, index), drawings) for index in order)
    return rows, shown, drawn


def differences(reference_tokens: Sequence[str], text_tokens: Sequence[str]) -> str:
    """The edits from reference to text, run by run: = same, s substituted, i only in the text, d only in the reference.

    Example:
        reference = [x, ^, 2, +, y], text = [x, ^, 3, +, y, z]  ->  "2=1s2=1i"
    """
    codes = Levenshtein.opcodes(reference_tokens, text_tokens)
    lengths = [max(code.src_end - code.src_start, code.dest_end - code.dest_start) for code in codes]
    return "".join(f"{length}{_LETTER[code.tag]}" for length, code in zip(lengths, codes, strict=True))


def row_entry(comparison: Comparison, index: int) -> dict:
    """A row with its outcome, the reference's tokens, and each system's reading with its edits and differences."""
    predictions = _row_predictions(comparison, index)
    scores = [comparison.row_scores[name][index] for name in comparison.systems]
    reference = tokenize(predictions[0].reference)
    return {
        "id": predictions[0].id,
        "domain": predictions[0].domain or "",
        "outcome": _outcome([score.exact for score in scores]),
        "reference": _joined(reference),
        "texts": [_text(row, score, reference) for row, score in zip(predictions, scores, strict=True)],
    }


def _text(prediction: Prediction, score: RowScore, reference: list[str]) -> dict:
    failed = prediction.stop == "failed"
    tokens = [] if failed else tokenize(prediction.text)
    values = score.values
    likeness = values.get("edit_similarity", values.get("caption_rouge_l", float(score.exact)))
    entry: dict = {"edits": score.edits, "similarity": round(likeness, 4), "exact": score.exact}
    if "cdm_f1" in score.values:
        entry["cdm"] = round(score.values["cdm_f1"], 4)
    if score.values.get("exact_match_canonical"):
        entry["canonical"] = True
    if not score.exact:
        entry |= {"text": _joined(tokens), "diff": differences(reference, tokens)}
    flags = [prediction.stop] if prediction.stop != "end" else []
    flags += ["loop"] if score.values.get("repetition") else []
    if flags:
        entry["flags"] = flags
    if failed:
        entry["error"] = prediction.error or "no text could be made"
    return entry


def _outcome(exact: Sequence[bool]) -> str:
    if len(exact) == 1:
        return "right" if exact[0] else "wrong"
    before, after = exact[:2]
    return ("right" if after else "broken") if before else ("fixed" if after else "wrong")


def _order_of_interest(rows: Sequence[dict]) -> list[int]:
    worst_first = sorted(range(len(rows)), key=lambda index: rows[index]["texts"][-1]["similarity"])
    groups = [[index for index in worst_first if rows[index]["outcome"] == outcome] for outcome in OUTCOMES]
    return [index for index in chain.from_iterable(zip_longest(*groups)) if index is not None]


def _add_images(rows: Sequence[dict], images: Mapping[str, LazyImage], max_bytes: int) -> int:
    shown = spent = 0
    for row in rows:
        image = images.get(row["id"])
        if image is None or spent >= max_bytes:
            continue
        try:
            uri = data_uri(image)
        except DataError as error:
            row["image_error"] = str(error)
            continue
        if spent + len(uri) <= max_bytes:
            row["image"] = uri
            spent += len(uri)
            shown += 1
    return shown


def add_drawings(row: dict, predictions: Sequence[Prediction], drawings: Drawings) -> bool:
    """Draws the reference and the texts of a row into it; whether all of it is drawn."""
    row["drawn"] = drawings.index(predictions[0].reference)
    for entry, prediction in zip(row["texts"], predictions, strict=True):
        pair = None if entry["exact"] or prediction.stop == "failed" else _pair(prediction, drawings)
        if pair:
            entry["missed"], entry["drawn"] = pair
        else:
            failed = prediction.stop == "failed"
            entry["drawn"] = row["drawn"] if entry["exact"] else None if failed else drawings.index(prediction.text)
    return row["drawn"] is not None and all(entry["drawn"] is not None or "error" in entry for entry in row["texts"])


def _pair(prediction: Prediction, drawings: Drawings) -> tuple[int, int] | None:
    return drawings.pair(prediction.reference, prediction.text) if tokenize(prediction.text) else None


def _row_predictions(comparison: Comparison, index: int) -> list[Prediction]:
    return [comparison.predictions[name][index] for name in comparison.systems]


def _joined(tokens: Sequence[str]) -> str:
    """Tokens parted by one space; a space inside a token (the control space) is shown as an open box."""
    return " ".join(token.replace(" ", "␣") for token in tokens)
