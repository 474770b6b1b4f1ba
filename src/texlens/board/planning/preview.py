"""The first train rows as the model will get them: picture, label, and how many tokens each takes."""

from typing import Any

from texlens.config.run import RunConfig
from texlens.core.errors import DataError, TexlensError, one_line
from texlens.data.sample import Sample
from texlens.html.pictures import data_uri
from texlens.inputs.build import read_split
from texlens.inputs.chat_template import answer_ids
from texlens.planner.run_plan import planned_geometry, planned_model, planned_tokenizer, row_size

MAX_ROWS = 24
MAX_CHARACTERS = 2000


def preview_rows(config: RunConfig, start: int, count: int) -> dict[str, Any]:
    """
    Raises:
        DataError, ModelError: no such data or model.
    """
    folder, model_config = planned_model(config.model.path)
    geometry, tokenizer = planned_geometry(config, folder, model_config), planned_tokenizer(folder)
    rows = read_split(config.data, "train")
    entries = []
    for index in range(max(start, 0), min(start + min(count, MAX_ROWS), len(rows))):
        sample = rows[index]
        entry: dict[str, Any] = {"id": sample.id, "text": sample.text[:MAX_CHARACTERS], **_picture(sample)}
        try:
            size = row_size(sample, geometry, tokenizer, config.data)
            entry |= {"image_tokens": size.image, "text_tokens": size.text, "answer_tokens": size.answer}
        except TexlensError as error:
            entry["problem"] = one_line(error, 300)
        entry["tokens"] = _pieces(tokenizer, sample.text) if tokenizer else None
        entries.append(entry)
    return {"rows": len(rows), "start": start, "entries": entries, "exact": tokenizer is not None}


def _picture(sample: Sample) -> dict[str, str]:
    try:
        return {"picture": data_uri(sample.image)}
    except DataError as error:
        return {"problem": one_line(error, 300)}


def _pieces(tokenizer: Any, text: str) -> list[str]:
    """The answer's tokens as text, without the end of the turn."""
    return [tokenizer.decode([token]) for token in answer_ids(tokenizer, text[:MAX_CHARACTERS])[:-1]]
