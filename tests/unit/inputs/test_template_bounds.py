"""Qwen's forms of templates are recognized as bounded; whatever could grow without bound is not."""

import pytest

from tests.fixtures.tiny_tokenizer import TEMPLATES
from texlens.inputs.template_bounds import is_bounded

MESSAGES = "{% for message in messages %}{{ message.role }}{% endfor %}"
PARTS = (
    "{% set count = namespace(value=0) %}{% for message in messages %}{% if message['content'] is string %}"
    "{{ message['content'] }}{% else %}{% for part in message['content'] %}{% if part.type == 'image' %}"
    "{% set count.value = count.value + 1 %}{% if add_vision_id %}Picture {{ count.value }}: {% endif %}"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}{% endfor %}"
)
MACRO = (
    "{% macro shown(content, counts) %}{% for part in content %}{{ part.text }}{% endfor %}{% endmacro %}"
    "{% for message in messages %}{{ shown(message.content, true) | trim }}{% endfor %}"
)


@pytest.mark.parametrize("template", [MESSAGES, PARTS, MACRO, MACRO + "{{ shown(messages[0].content, false) }}"])
def test_loops_over_messages_and_their_parts_are_bounded(template):
    assert is_bounded(template)


@pytest.mark.parametrize("name", [path.name for path in TEMPLATES.glob("*.jinja")])
def test_templates_of_the_families_are_bounded(name):
    assert is_bounded((TEMPLATES / name).read_text())


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(100000) %}x{% endfor %}",
        "{{ 'x' * 1000 }}",
        "{{ 2 ** 1000 }}",
        "{{ '%1000d' % 1 }}",
        "{{ 'x' | center(1000) }}",
        "{{ messages | tojson(indent=1000) }}",
        "{{ 'x'.ljust(1000) }}",
        "{% set x = x + x %}",
        "{% set x = x ~ 'a' %}",
        "{% set n = namespace(x='a') %}{% for m in messages %}{% set n.x = n.x + n.x %}{% endfor %}",
        "{% set n = namespace(content='a') %}{% for m in messages %}{% for c in n.content %}x{% endfor %}{% endfor %}",
        "{% for m in messages %}{% set m = 'text' %}{% for c in m.content %}{{ m }}{% endfor %}{% endfor %}",
        "{% for m in messages %}{% for p in m.content %}{% for c in p.text %}x{% endfor %}{% endfor %}{% endfor %}",
        "{% for m in messages %}{% for n in messages %}{{ n }}{% endfor %}{% endfor %}",
        "{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}",
        "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
        "{% macro a(x) %}{% for c in x %}{{ x }}{% endfor %}{% endmacro %}{{ a('text') }}",
        "{% macro a(x) %}{% for c in x %}{{ x }}{% endfor %}{% endmacro %}{{ a(messages[0].content[0].text) }}",
        "{% include 'x' %}",
        "{% if %}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    ],
)
def test_what_may_grow_or_can_not_be_judged_is_not(template):
    assert not is_bounded(template)
