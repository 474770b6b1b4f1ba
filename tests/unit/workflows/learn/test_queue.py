"""The order of correction: doubtful ones first, and the hold-out at random between them."""

from pathlib import Path

from texlens.workflows.learn.doubt import Doubt
from texlens.workflows.learn.images import LearnImage, is_held_out
from texlens.workflows.learn.queue import queue
from texlens.workflows.learn.reading import ImageReading

IMAGES = [LearnImage(f"{number:064x}", f"{number}.png", Path(f"{number}.png")) for number in range(400)]
READINGS = {image.key: ImageReading(image.key, "x") for image in IMAGES}
DOUBTS = {image.key: Doubt(number / 400, 0.5) for number, image in enumerate(IMAGES)}


def order(done=(), images=IMAGES):
    return queue(images, READINGS, DOUBTS, done, 0.25)


def test_images_to_train_on_come_by_doubt():
    doubts = [each.doubt.value for each in order() if not each.held_out]
    assert doubts == sorted(doubts, reverse=True)


def test_the_first_images_hold_the_hold_outs_share():
    first = order()[:100]
    assert sum(each.held_out for each in first) == 25
    assert {each.held_out for each in first[:4]} == {True, False}


def test_doubt_has_no_part_in_the_order_of_the_hold_out():
    doubts = [each.doubt.value for each in order() if each.held_out][:40]
    assert 0.35 < sum(doubts) / len(doubts) < 0.65


def test_what_is_done_does_not_come_again_and_the_rest_keeps_its_order():
    everything = order()
    done = {each.image.key for each in everything[:60]}
    assert [each.image.key for each in order(done)] == [each.image.key for each in everything[60:]]


def test_an_image_is_held_out_by_its_content_alone():
    assert all(each.held_out == is_held_out(each.image.key, 0.25) for each in order())


def test_an_image_that_was_not_read_waits():
    unread = LearnImage("f" * 64, "new.png", Path("new.png"))
    assert unread.key not in {each.image.key for each in order(images=[*IMAGES, unread])}
