import random

import numpy as np
import pytest
from pretraining.corpus import HELD_OUT, STAGES, TrainingImages, as_latex_ocr, is_held_out

from texlens.augment import bucket_pad, ink_box
from texlens.latex.layout.formula import layout

FORMULAS = [
    "a _ { 1 } + b = \\frac { c } { d + 1 } .",
    "x ^ { 2 } - \\sqrt { y } = \\left( \\alpha + \\beta \\right) z ,",
    "\\int _ { 0 } ^ { \\infty } d x e ^ { - x } \\leq \\sum _ { n = 1 } ^ { N } p _ { n } ( x )",
]


@pytest.fixture(scope="module")
def images() -> TrainingImages:
    return TrainingImages(FORMULAS)


@pytest.mark.parametrize("stage", STAGES)
def test_a_sample_is_a_gray_image_with_ink_and_a_label_outside_the_held_out_part(images, stage):
    rng = random.Random(1)
    for _ in range(40):
        image, label = images.sample(rng, stage)
        assert image.mode == "L"
        assert image.width <= 540
        assert image.height <= 170
        assert np.ptp(np.asarray(image)) > 60
        assert not is_held_out(label)


def test_the_same_seed_gives_the_same_image_and_label(images):
    first, second = (images.sample(random.Random(9), "mixed") for _ in range(2))

    assert first[1] == second[1]
    assert first[0].tobytes() == second[0].tobytes()


def test_short_formulas_have_at_most_twelve_tokens(images):
    rng = random.Random(2)

    assert max(len(images.sample(rng, "short")[1].split(" ")) for _ in range(60)) <= 12


def test_one_label_in_fifty_is_held_out_whatever_its_spacing():
    share = sum(is_held_out(f"x _ {{ {i} }}") for i in range(20_000)) / 20_000

    assert share == pytest.approx(1 / HELD_OUT, rel=0.15)
    assert all(is_held_out(f"a ^ {{ {i} }}") == is_held_out(f"a^{{{i}}}") for i in range(500))


def test_the_held_out_formulas_are_different_and_come_from_the_held_out_part(images):
    labels = [label for _, label in images.held_out(30, seed=4)]

    assert len(set(labels)) == 30
    assert all(is_held_out(label) and 5 <= len(label.split(" ")) <= 40 for label in labels)
    assert labels == [label for _, label in images.held_out(30, seed=4)]


def test_print_like_latex_ocr_has_its_size():
    # The first train row of LaTeX_OCR `full`: its own image is 160 × 40 with ink from (4, 4) to (121, 36).
    row = "s _ { i } = \\frac { 2 } { ( \\alpha _ { i } , \\alpha _ { i } ) } \\frac { 1 } { \\beta ^ { 2 } } - 1"

    image = bucket_pad(as_latex_ocr(layout(row)))

    left, top, right, bottom = ink_box(image)
    assert image.size == (160, 40)
    assert (left, top) == (4, 4)
    assert right - left == pytest.approx(117, abs=2)
    assert bottom - top == pytest.approx(32, abs=2)
