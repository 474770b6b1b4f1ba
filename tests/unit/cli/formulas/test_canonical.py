import json

from typer.testing import CliRunner

from texlens.cli.main import app
from texlens.core.errors import LatexError


def run(*arguments, **more):
    return CliRunner().invoke(app, ["canonical", *arguments], **more)


def test_the_form_and_its_tokens_are_printed():
    assert run(r"\frac12").stdout == "\\frac { 1 } { 2 }\n7 tokens: \\frac|{|1|}|{|2|}\n"


def test_json_is_one_object():
    output = json.loads(run("--json", "x^2").stdout)
    assert output == {"canonical": "x ^ { 2 }", "tokens": ["x", "^", "{", "2", "}"], "problem": None}


def test_a_formula_comes_from_standard_input():
    assert run("-", input="x _ 1\n").stdout.startswith("x _ { 1 }\n")


def test_what_cannot_be_parsed_is_printed_as_it_is_and_named():
    outcome = run("--json", r"a \foo")
    assert json.loads(outcome.stdout)["problem"]["position"] == 2
    assert isinstance(outcome.exception, LatexError)
