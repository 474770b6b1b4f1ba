"""Builds of the site: formulas become MathML, so that pages need no network, and files of the root are pages too."""

import re
from html import unescape
from pathlib import Path

from texlens.latex.mathml import to_mathml

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)

_ROOT_FILES = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md", "security.md": "SECURITY.md"}


def on_page_markdown(markdown: str, *, page, **_) -> str:
    """The text of a file in the repository's root, with its links as the site has them."""
    name = _ROOT_FILES.get(page.file.src_uri)
    if name is None:
        return markdown
    text = (Path(__file__).parents[1] / name).read_text(encoding="utf-8")
    return text.replace("](docs/", "](").replace("](SECURITY.md", "](security.md")


def on_page_content(html: str, **_) -> str:
    """Replace each element that pymdownx.arithmatex left.

    Raises:
        ValueError: a formula that can't be converted.
    """
    return _FORMULA.sub(_element, html)


def _element(match: re.Match[str]) -> str:
    latex = unescape(match.group(2))
    mathml, problem = to_mathml(latex)
    if mathml is None:
        raise ValueError(f"docs: {latex!r}: {problem}")
    return mathml.replace('display="block"', 'display="inline"') if match.group(1) == "span" else mathml
