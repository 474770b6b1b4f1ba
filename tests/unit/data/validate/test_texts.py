import pytest

from texlens.data.sample import LazyImage, Sample
from texlens.data.validate.formulas import latex_fault
from texlens.data.validate.texts import check_texts, is_latex

IMAGE = LazyImage.from_bytes(b"")


def kinds(text: str, **more) -> list[str]:
    sample = Sample("1", IMAGE, text, **more)
    return [kind for kind, _ in check_texts(sample, 64, context=200, special_tokens=("<|im_end|>",))]


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        (r"\frac { a } { b }", []),
        (" \n", ["empty-answer"]),
        ("x " * 200, ["long-answer"]),
        ("x <|im_end|>", ["special-token"]),
        ("caf\ufffd", ["encoding"]),
        ("cafÃ©", ["encoding"]),
        ("Ãa é ü 公式", []),
    ],
)
def test_each_fault_of_a_text_has_its_kind(text, findings):
    assert kinds(text) == findings


def test_an_empty_one_among_several_answers_and_a_special_token_in_the_prompt_are_found():
    assert kinds("x", more_answers=("",)) == ["empty-answer"]
    assert kinds("x", prompt="<|im_end|>") == ["special-token"]


def test_formulas_and_captions_are_distinguished():
    assert is_latex(["x ^ 2", "a", r"\alpha"])
    assert not is_latex(["A cat on a mat.", "Two dogs_", "A red bus", "A man"])
    assert not is_latex([])


def test_latex_that_does_not_parse_or_render_says_where():
    assert latex_fault(r"\frac { a } { b }", render=True) == ""
    assert latex_fault(r"x + \nosuchthing") == r"latex-parse: unknown command `\nosuchthing`, at character 4"
    assert latex_fault("{ x").startswith("latex-parse: ")
