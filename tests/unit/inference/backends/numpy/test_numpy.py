"""The numpy twin against the model in transformers."""

import pytest

from tests.fixtures.drawn_images import drawn
from texlens.data.sample import LazyImage, Sample
from texlens.inference.backends.numpy.reader import PlainReader
from texlens.inference.generate import generate, in_order
from texlens.latex.render.formats import render_png
from texlens.models.bundled import NANO_FOLDER
from texlens.models.load import load_model, load_processor

FORMULAS = (
    r"\frac { a } { b } + \sqrt { y _ { 1 } }",
    r"\sum _ { i = 1 } ^ { n } x _ { i } \leq \operatorname { s i n } z",
    "2",
)
QUESTION = "Transcribe the LaTeX of this image."


@pytest.fixture(scope="module")
def plain() -> PlainReader:
    return PlainReader.open(NANO_FOLDER)


def test_it_says_what_transformers_says_and_is_as_sure(plain):
    images = [render_png(formula) for formula in FORMULAS] + [drawn(300, 40), drawn(60, 120)]
    samples = [Sample(str(row), LazyImage.from_bytes(image), "") for row, image in enumerate(images)]
    processor = load_processor(NANO_FOLDER)
    model = load_model(NANO_FOLDER, device="cpu", dtype="float32")
    theirs = in_order(generate(model, processor, samples, question=QUESTION, max_new_tokens=40), samples)

    ours = [plain.read(sample, question=QUESTION, max_new_tokens=40) for sample in samples]

    assert [row.text for row in ours] == [row.text for row in theirs]
    assert [(row.stop, row.tokens) for row in ours] == [(row.stop, row.tokens) for row in theirs]
    assert [row.log_probability for row in ours] == pytest.approx([row.log_probability for row in theirs], abs=2e-3)


def test_the_prompt_is_the_one_that_transformers_renders(plain):
    from texlens.inputs.chat_template import prompt_ids

    stock = load_processor(NANO_FOLDER).tokenizer
    for question, system in ((QUESTION, None), ("Écris : x²?", "Be brief."), ("读出公式", None)):
        asked = {"prompt": question, "system_prompt": system, "image_tokens": 5}
        assert prompt_ids(plain.tokenizer, **asked) == prompt_ids(stock, **asked)


def test_text_is_told_as_it_comes(plain):
    told = []
    sample = Sample("0", LazyImage.from_bytes(render_png(FORMULAS[0])), "")
    made = plain.read(sample, question=QUESTION, max_new_tokens=40, on_text=told.append)

    assert len(told) > 5
    assert "".join(told) == made.text
