from dataclasses import replace

import numpy as np
import pytest

from tests.fixtures.tiny_tokenizer import tiny_tokenizer
from tests.unit.data.pictures import png
from texlens.core.errors import DataError
from texlens.core.labels import IGNORE_INDEX
from texlens.data.geometry import ImageGeometry
from texlens.data.sample import LazyImage, Sample, Turn
from texlens.inputs.chat_template import answer_ids, prompt_ids
from texlens.inputs.example import build_example

GEOMETRY = ImageGeometry(8, 2, 2, 256, 100_000)


def sample(text="x^2", data=None, **options) -> Sample:
    return Sample("a", LazyImage.from_bytes(data or png(64, 32), "train.parquet row 4"), text, **options)


def test_labels_are_the_answer_and_the_end_of_the_turn_alone():
    tokenizer = tiny_tokenizer()
    example = build_example(sample(), tokenizer, GEOMETRY, "Read")
    prompt = prompt_ids(tokenizer, prompt="Read", image_tokens=8)
    answer = answer_ids(tokenizer, "x^2")
    assert example.input_ids == prompt + answer
    assert example.labels == [-100] * len(prompt) + answer
    assert example.grid == (1, 4, 8)
    assert (example.patches, example.answer_tokens, example.sample_id) == (None, 4, "a")


def test_patches_come_when_asked_for_and_after_the_transform():
    tokenizer = tiny_tokenizer()
    plain = build_example(sample(), tokenizer, GEOMETRY, "Read", pixels=True)
    assert plain.patches.shape == (32, 3 * 2 * 8 * 8)
    halved = build_example(
        sample(), tokenizer, GEOMETRY, "Read", pixels=True, transform=lambda image: image.resize((32, 32))
    )
    assert halved.grid == (1, 4, 4)
    assert halved.input_ids.count(tokenizer.convert_tokens_to_ids("<|image_pad|>")) == 4
    assert np.isfinite(halved.patches).all()


def test_a_rows_own_prompt_is_rendered():
    tokenizer = tiny_tokenizer()
    example = build_example(sample(prompt="Count", system="S"), tokenizer, GEOMETRY, "Read")
    assert "Count" in tokenizer.decode(example.input_ids)
    assert "Read" not in tokenizer.decode(example.input_ids)


def test_a_row_without_an_answer_is_named():
    with pytest.raises(DataError, match=r"train.parquet row 4: 0 answer tokens; is 'text' empty"):
        build_example(sample(" "), tiny_tokenizer(), GEOMETRY, "Read")


@pytest.mark.parametrize(
    ("data", "reason"), [(b"no", "not a readable image"), (png(801, 4), "over 200 times"), (png()[:300], "damaged")]
)
def test_a_bad_image_is_named(data, reason):
    with pytest.raises(DataError, match=rf"train.parquet row 4: .*{reason}"):
        build_example(sample(data=data), tiny_tokenizer(), GEOMETRY, "Read", pixels=True)


def test_every_assistants_turn_carries_labels_and_images_are_in_order():
    tokenizer = tiny_tokenizer()
    row = sample(
        "x",
        prompt="And <image>?",
        more_images=(LazyImage.from_bytes(png(32, 32), "second"),),
        history=(Turn("user", "<image>?"), Turn("assistant", "y")),
    )
    example = build_example(row, tokenizer, GEOMETRY, "Read", pixels=True)
    assert example.grids == ((1, 4, 8), (1, 4, 4))
    assert example.patches.shape == (32 + 16, 3 * 2 * 8 * 8)
    assert example.input_ids.count(tokenizer.convert_tokens_to_ids("<|image_pad|>")) == 8 + 4
    labels = [label for label in example.labels if label != -100]
    assert tokenizer.decode(labels) == "y<|im_end|>x<|im_end|>"
    assert len(build_example(row, tokenizer, GEOMETRY, "Read")) == len(example)


def test_only_answers_that_are_trained_on_carry_labels():
    tokenizer = tiny_tokenizer()
    history = (Turn("user", "left"), Turn("assistant", "BAD", is_trained=False))
    example = build_example(replace(sample(prompt="right"), history=history), tokenizer, GEOMETRY, "Read")
    assert [label for label in example.labels if label != IGNORE_INDEX] == answer_ids(tokenizer, "x^2")
    history = (Turn("user", "left"), Turn("assistant", "y"))
    row = replace(sample(prompt="right"), history=history, is_trained=False)
    example = build_example(row, tokenizer, GEOMETRY, "Read")
    assert [label for label in example.labels if label != IGNORE_INDEX] == answer_ids(tokenizer, "y")
