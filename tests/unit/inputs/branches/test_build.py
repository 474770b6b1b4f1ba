from io import BytesIO

import pytest
from PIL import Image

from tests.fixtures.tiny_models import tiny_processor
from texlens.core.errors import DataError
from texlens.core.labels import IGNORE_INDEX
from texlens.data.sample import LazyImage, Question, Sample
from texlens.inputs.branches.build import build_all_questions
from texlens.inputs.branches.share_prefix import separate
from texlens.inputs.chat_template import count_text_tokens
from texlens.inputs.example import build_example
from texlens.inputs.image_patches import image_to_raw_patches


def sample(**options) -> Sample:
    png = BytesIO()
    Image.new("RGB", (128, 64), "white").save(png, "PNG")
    questions = (Question("Count.", "x : 1", "counting"), Question("Read.", "x"))
    return Sample("7", LazyImage.from_bytes(png.getvalue(), "a.png"), "x ^ 2", more_questions=questions, **options)


def test_each_question_is_a_branch_with_the_tokens_of_a_row_alone():
    processor, row = tiny_processor(), sample()
    tools = processor.tokenizer, processor.geometry, "Read.", "Be brief."
    example = build_all_questions(row, *tools, pixels=True, patchify=image_to_raw_patches)
    rows = [build_example(each, *tools) for each in row.separate()]
    parts = separate(example)
    assert [(part.input_ids, part.labels) for part in parts] == [(each.input_ids, each.labels) for each in rows]
    assert len(example.branch_starts) == 3
    assert example.patches is not None
    assert all(label == IGNORE_INDEX for label in example.labels[: example.branch_starts[0]])
    image_tokens = example.input_ids.count(processor.image_token_id)
    assert len(example) == image_tokens + count_text_tokens(processor.tokenizer, row, "Read.", "Be brief.")


def test_an_image_after_a_question_can_not_be_shared():
    processor = tiny_processor()
    with pytest.raises(DataError, match=r"a\.png: questions that differ before the image"):
        build_all_questions(sample(), processor.tokenizer, processor.geometry, "Read <image>")


def test_an_empty_answer_of_a_question_is_an_error():
    processor, row = tiny_processor(), sample()
    row.more_questions[1].__dict__["text"] = " "
    with pytest.raises(DataError, match="0 answer tokens"):
        build_all_questions(row, processor.tokenizer, processor.geometry, "Read.")
