from tests.fixtures.tiny_tokenizer import tiny_tokenizer
from tests.unit.data.pictures import png
from texlens.data.geometry import ImageGeometry
from texlens.data.sample import LazyImage, Sample
from texlens.data.token_estimates import text_token_estimate
from texlens.inputs.chat_template import count_text_tokens
from texlens.inputs.example import build_example


def test_with_a_tokenizer_text_and_image_tokens_are_the_examples_length():
    geometry, tokenizer = ImageGeometry(16), tiny_tokenizer()
    sample = Sample("0", LazyImage.from_bytes(png(200, 50)), "\\frac{a}{b}")
    tokens = count_text_tokens(tokenizer, sample, "Read", None) + geometry.tokens(200, 50)
    assert tokens == len(build_example(sample, tokenizer, geometry, "Read"))


def test_without_one_characters_are_counted():
    sample = Sample("0", LazyImage.from_bytes(b""), "x" * 22)
    assert text_token_estimate(sample, "y" * 22, None) == 15 + 20
