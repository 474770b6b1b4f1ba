"""The confusion table of the report: each pair of symbols with pictures and counts by system."""

import base64
from collections.abc import Callable
from html import escape

from markupsafe import Markup

from texlens.core.errors import LatexError
from texlens.evaluation.comparison import Comparison
from texlens.evaluation.confusion import confusions


def confusion_rows(comparison: Comparison, draw: Callable[[str], str]) -> list[dict]:
    """Rows for the template: pictures of both symbols (`draw` maps a formula to SVG) and counts in system order."""
    return [
        {
            "reference": _symbol(confusion.reference, draw),
            "read": _symbol(confusion.read, draw),
            "counts": [confusion.counts[name] for name in comparison.systems],
        }
        for confusion in confusions(comparison)
    ]


def _symbol(token: str, draw: Callable[[str], str]) -> Markup:
    """The symbol drawn, and its source; nothing for an omission or insertion."""
    if not token:
        return Markup('<span class="range">nothing</span>')
    try:
        data = base64.b64encode(draw(token).encode()).decode()
        picture = f'<img class="symbol" alt="" src="data:image/svg+xml;base64,{data}">'
    except LatexError:
        picture = ""
    return Markup(f"{picture} <code>{escape(token)}</code>")
