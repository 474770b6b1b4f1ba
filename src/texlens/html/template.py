"""Pages from templates: one HTML file each that needs nothing beside it."""

import json

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def page_environment(package: str, folder: str) -> Environment:
    """Templates of a package's folder; `asset("page.css")` there gives a file of it, or of this folder, as it is."""
    loader = ChoiceLoader([PackageLoader(package, folder), PackageLoader("texlens", "html")])
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["count"] = lambda value: f"{value:,}"
    environment.globals["asset"] = lambda name: Markup(loader.get_source(environment, name)[0])  # pyrefly: ignore
    return environment


def script_json(value: object) -> Markup:
    """JSON that may stand inside a `script` element: no `<`, `>`, `&` that could end it or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
