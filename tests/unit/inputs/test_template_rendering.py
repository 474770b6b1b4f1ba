"""A stranger's chat template ends in bounded time and memory, with one line; a harmless one gives its text."""

import os
import time

import pytest

from tests.fixtures.tiny_tokenizer import tiny_tokenizer
from texlens.core.errors import ModelError
from texlens.inputs import template_rendering
from texlens.inputs.template_rendering import render_template

MESSAGES = [{"role": "user", "content": [{"type": "text", "text": "Read ±."}]}]


@pytest.fixture
def rendered(monkeypatch):
    monkeypatch.setattr(template_rendering, "RENDER_S", 1.0)

    def render(template: str) -> str:
        tokenizer = tiny_tokenizer()
        tokenizer.chat_template = template
        return render_template(tokenizer, MESSAGES, add_generation_prompt=True)

    return render


@pytest.mark.skipif(not hasattr(os, "fork"), reason="templates run in this process")
def test_text_of_the_child_is_that_of_this_process(rendered, monkeypatch):
    template = "{% for n in range(2) %}{{ messages[0].content[0].text }}{% endfor %}"
    assert rendered(template) == "Read ±.Read ±."
    monkeypatch.setattr(template_rendering, "_is_bounded", lambda template: True)
    assert rendered(template) == "Read ±.Read ±."


@pytest.mark.skipif(not hasattr(os, "fork"), reason="templates run in this process")
@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% set n = namespace(x='a') %}{% for a in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x }}",
        "{{ 'x' * 10000000000 }}",
        "{{ 'x' | center(10000000000) }}",
        "{{ 9 ** 999999999 }}",
        "{% for a in range(99999) %}{{ 'x' * 9999 }}{% endfor %}",
    ],
)
def test_time_memory_and_text_are_bounded(rendered, template):
    start = time.monotonic()
    with pytest.raises(ModelError, match=r"the chat template takes over|can't be used"):
        rendered(template)
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% if %}", "Expected an expression"),
        ("{{ ().__class__.__base__ }}", "unsafe"),
        ("{{ raise_exception('no\n\x1b[31mrows') }}", r"no \\x1b\[31mrows"),
        ("{{ messages + 1 }}", "can only concatenate"),
        ("{{ undefined.attribute }}", "is undefined"),
        ("{{ " + "[" * 5000 + "]" * 5000 + " }}", "can't be used"),
        ("x" * 200_001, "200,001 characters"),
    ],
)
def test_errors_are_one_line(rendered, template, reason):
    with pytest.raises(ModelError, match=reason) as caught:
        rendered(template)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
