"""Every source of the second pre-training gives readable images and labels that parse."""

import io
import random
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from pretraining.corpus import is_held_out
from pretraining.wide.mixture import RECENT, STAGES, WideImages, changed

from texlens.latex.parse.parser import parse

FORMULAS = [
    "\\frac { a } { b } = \\sqrt { x ^ { 2 } + y _ { 1 } } , z",
    "E = m c ^ { 2 } + \\sum _ { i = 0 } ^ { n } x _ { i }",
    "( a + b ) \\alpha \\leq \\int d x f ( x )",
]


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (width, height), 255).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def images() -> WideImages:
    rows = [{"image": {"bytes": png(120, 50)}, "text": formula} for formula in FORMULAS]
    return WideImages(rows, {"latin-modern": 1.0, "termes": 1.0}, None)


@pytest.mark.parametrize("source", ["print", "varied", "commands", "lines", "strokes"])
def test_a_source_gives_images_with_ink_and_labels_that_parse(images, source):
    rng, plan = random.Random(3), STAGES["wide"]
    samples = [sample for _ in range(12) if (sample := getattr(images, f"_{source}")(rng, plan))]
    assert len(samples) >= 4
    for drawn in samples:
        parse(drawn.label)
        assert drawn.image.mode == "L"
        assert np.asarray(drawn.image).std() > 0
        assert changed(rng, plan, drawn).mode == "L"


def test_recent_formulas_come_again_as_other_pictures(images):
    other, rng = WideImages(images.rows, images.fonts, None), random.Random(4)
    samples = [other.sample(rng, "begin") for _ in range(RECENT + 120)]
    drawn = [(label, image.tobytes()) for image, label in samples if label not in FORMULAS]
    labels = [label for label, _ in drawn]
    assert len(set(labels)) < len(labels) - 20
    assert len(set(drawn)) > 0.9 * len(drawn)


def test_half_of_the_size_is_shown_often(images):
    plan = replace(STAGES["settle"], halved=1.0)
    drawn = images._real(random.Random(2), plan)
    widths = [changed(random.Random(seed), plan, drawn).width for seed in range(48)]
    assert 52 <= min(widths) < 60
    assert len([width for width in widths if width <= 75]) > 3
    assert len([width for width in widths if width > 120]) > 24


def test_print_is_pressed_at_its_size(images):
    plan = replace(STAGES["settle"], halved=0.0, pressed=1.0)
    drawn = images._print(random.Random(2), plan)
    pictures = [changed(random.Random(seed), plan, drawn) for seed in range(6)]
    assert {picture.size for picture in pictures} == {drawn.image.size}
    assert len({picture.tobytes() for picture in [drawn.image, *pictures]}) > 5


def test_the_same_seed_gives_the_same_samples(images):
    def few() -> list:
        other = WideImages(images.rows, images.fonts, None)
        rng = random.Random(8)
        return [(image.tobytes(), label) for image, label in (other.sample(rng, "begin") for _ in range(6))]

    assert few() == few()


def test_held_out_labels_are_never_given(images):
    rng = random.Random(5)
    assert not any(is_held_out(images.sample(rng, "settle")[1]) for _ in range(60))


def test_a_source_without_data_is_left_out(images):
    assert images.typeset is None
    assert images.sample(random.Random(1), "wide")
