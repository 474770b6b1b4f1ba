import pytest

from texlens.data.sample import LazyImage, Sample
from texlens.data.validate.texts import check_texts

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
