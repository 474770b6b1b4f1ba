"""Rows as the data page is sent them."""

from dataclasses import asdict
from typing import Any

from texlens.core.language import translated
from texlens.data.browse.browser import BrowsedRow
from texlens.data.browse.problems import Badge
from texlens.data.sample import Sample

MAX_TEXT = 4_000
"""Characters of a text in a list of rows; the row alone has all of it."""


def row_json(row: BrowsedRow, *, whole: bool = False) -> dict[str, Any]:
    limit = None if whole else MAX_TEXT
    return {
        "split": row.split,
        "row": row.row,
        "id": row.id,
        "text": row.text[:limit],
        "source_text": row.source_text[:limit],
        "is_cut": not whole and len(row.text) > MAX_TEXT,
        "label": row.edits.label,
        "excluded": row.edits.excluded,
        "mark": row.edits.mark,
        "edits": len(row.edits.edits),
        "badges": [badge_json(badge) for badge in row.badges],
        "size": list(row.size),
        "where": row.where,
        "prompt": row.prompt,
        "domain": row.domain,
        **({"history": [asdict(edit) for edit in row.edits.edits]} if whole else {}),
    }


def badge_json(badge: Badge) -> dict[str, Any]:
    """`kind` is a name; reason and remedy are in the page's language."""
    words = {"reason": translated(badge.reason), "remedy": translated(badge.remedy)}
    return {**asdict(badge), **words, "other": list(badge.other) if badge.other else None}


def tokens_json(sample: Sample, text: str, model: str) -> dict[str, Any]:
    """The row as a model is given it, with `text` as its answer: every token and its label.

    Raises:
        ModelError: no such model.
    """
    from dataclasses import replace

    from texlens.config.model import ModelSettings
    from texlens.inference.defaults import DEFAULT_PROMPT
    from texlens.inputs.token_view import example_view
    from texlens.models.build import build_base

    processor = build_base(ModelSettings(path=model)).processor
    view = example_view(replace(sample, text=text), processor.tokenizer, processor.geometry, DEFAULT_PROMPT, None)
    return asdict(view)
