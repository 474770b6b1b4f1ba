"""Templates of pages, and JSON inside of them."""

import json

import pytest
from jinja2 import UndefinedError

from texlens.html.template import page_environment, script_json


def test_json_can_not_end_its_script_element():
    value = {"a": "</script><!--", "b": "\u2028&"}
    text = script_json(value)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == value


def test_a_number_that_json_lacks_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        script_json(float("nan"))


def test_values_are_escaped_counted_and_must_exist():
    environment = page_environment("texlens.evaluation", "report")
    assert environment.from_string("{{ x }} {{ n | count }}").render(x="<b>", n=12345) == "&lt;b&gt; 12,345"
    with pytest.raises(UndefinedError):
        environment.from_string("{{ missing }}").render()
