"""Disturbances keep the ink on the sheet and do what they are named for."""

import random

import numpy as np
import pytest
from PIL import Image
from pretraining.wide import disturbances


@pytest.fixture
def picture() -> Image.Image:
    gray = np.full((40, 120), 255, np.uint8)
    gray[15:25, 20:100] = 0
    return Image.fromarray(gray)


def test_a_dark_theme_has_light_ink_on_dark_paper(picture):
    gray = np.asarray(disturbances.inverted(picture, random.Random(0)))
    assert gray[20, 50] >= 150
    assert gray[2, 2] <= 80


def test_margins_keep_all_ink(picture):
    for seed in range(20):
        sheet = disturbances.with_margins(picture, random.Random(seed))
        assert (np.asarray(sheet) < 128).sum() == 800
        assert sheet.width * sheet.height >= picture.width * picture.height


def test_small_copies_are_no_smaller_than_print_can_be(picture):
    for seed in range(20):
        assert disturbances.smaller(picture, random.Random(seed), 0.7).width >= 84
    assert disturbances.smaller(picture, random.Random(0), 1.2) is picture


def test_shade_only_darkens(picture):
    shaded = np.asarray(disturbances.shaded(picture, random.Random(4)))
    assert (shaded <= np.asarray(picture)).all()
    assert shaded.std(axis=None) > 0


def test_disturbed_images_are_gray_and_keep_contrast(picture):
    rng = random.Random(7)
    for _ in range(60):
        image = disturbances.disturb(picture, rng, 20)
        assert image.mode == "L"
        assert np.ptp(np.asarray(image)) > 25
