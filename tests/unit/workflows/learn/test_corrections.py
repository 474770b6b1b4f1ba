"""Corrections, confirmations and images that are left out."""

import pytest

from texlens.core.errors import DataError
from texlens.data.edits.log import EditLog
from texlens.workflows.learn.corrections import correct, corrections_of, leave_out, problem_of, undo
from texlens.workflows.learn.images import find_images, is_held_out


@pytest.fixture
def images(photos):
    return find_images(photos).by_key


@pytest.fixture
def log(photos):
    return EditLog(photos / "learn" / "corrections.jsonl")


def test_every_image_goes_to_the_side_that_its_content_says(images, log):
    for image in images.values():
        correct(log, image, image.name, reading="x", who="anna")
    corrections = corrections_of(log, images, 0.25)
    assert {each.image.key for each in corrections.hold_out} == {key for key in images if is_held_out(key, 0.25)}
    assert len(corrections.train) + len(corrections.hold_out) == 12
    assert all(each.text == each.image.name for each in corrections.train)
    assert corrections.done == set(images)


def test_a_confirmed_reading_counts_and_is_no_change(images, log):
    first, second, *_ = images.values()
    correct(log, first, "x", reading="x", who="anna")
    correct(log, second, "y", reading="x", who="anna")
    corrections = corrections_of(log, images, 0.25)
    assert (len(corrections.done), corrections.changed, corrections.version) == (2, 1, 2)


def test_the_last_correction_of_an_image_counts_and_an_earlier_version_can_be_read(images, log):
    image = next(iter(images.values()))
    correct(log, image, "y", reading="x", who="anna")
    correct(log, image, "z", reading="x", who="ben")
    texts = [
        [each.text for each in (*c.train, *c.hold_out)]
        for c in (corrections_of(log, images, 0.25, version) for version in (1, 2))
    ]
    assert texts == [["y"], ["z"]]


def test_an_image_that_is_left_out_is_on_neither_side_until_it_is_corrected(images, log):
    image = next(iter(images.values()))
    leave_out(log, image, who="anna")
    corrections = corrections_of(log, images, 0.25)
    assert (corrections.train, corrections.hold_out, corrections.left_out) == ([], [], 1)
    assert image.key in corrections.done
    correct(log, image, "y", reading="x", who="anna")
    assert corrections_of(log, images, 0.25).left_out == 0


def test_undo_takes_one_step_back(images, log):
    image = next(iter(images.values()))
    correct(log, image, "y", reading="x", who="anna")
    correct(log, image, "z", reading="x", who="anna")
    undo(log, image.key, who="anna")
    assert log.rows()[image.key].label == "y"
    leave_out(log, image, who="anna")
    undo(log, image.key, who="anna")
    assert log.rows()[image.key].excluded is None
    assert undo(log, "0" * 64, who="anna") is None


def test_an_empty_text_is_refused_and_one_that_is_no_formula_is_remarked_on(images, log):
    with pytest.raises(DataError, match="an empty text"):
        correct(log, next(iter(images.values())), "  ", reading="x", who="anna")
    assert problem_of(r"\frac{a}{b}") == ""
    assert problem_of(r"\frac{a}{b") != ""


def test_a_correction_of_an_image_that_is_gone_is_kept_but_not_used(images, log):
    image = next(iter(images.values()))
    correct(log, image, "y", reading="x", who="anna")
    assert corrections_of(log, {}, 0.25).done == frozenset()
    assert len(log.edits()) == 1
