"""In which order images are corrected: the doubtful ones first, and between them those that are held out, at random.

The hold-out measures how the whole folder is read, so its images come in an order that doubt has no part in, one for
as many others as its share says.
"""

import hashlib
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from texlens.workflows.learn.doubt import Doubt
from texlens.workflows.learn.images import LearnImage, is_held_out
from texlens.workflows.learn.reading import ImageReading


@dataclass(frozen=True)
class QueuedImage:
    image: LearnImage
    reading: ImageReading
    doubt: Doubt
    held_out: bool


def queue(
    images: Iterable[LearnImage],
    readings: Mapping[str, ImageReading],
    doubts: Mapping[str, Doubt],
    done: Collection[str],
    share: float,
) -> list[QueuedImage]:
    """The images that are not done, in the order in which they are corrected.

    Args:
        done: keys of images that were corrected, confirmed or left out.
        share: of the hold-out.
    """
    waiting = [image for image in images if image.key in readings]
    held_out = {image.key: is_held_out(image.key, share) for image in waiting}
    measured = sum(held_out[image.key] for image in waiting if image.key in done)
    trained = sum(not held_out[image.key] for image in waiting if image.key in done)
    waiting = [image for image in waiting if image.key not in done]
    order = sorted(
        (image for image in waiting if not held_out[image.key]),
        key=lambda image: (-doubts[image.key].value, readings[image.key].log_probability, image.name),
    )
    by_doubt = deque(order)
    at_random = deque(sorted((image for image in waiting if held_out[image.key]), key=lambda image: _random(image.key)))
    merged = []
    while by_doubt or at_random:
        lacks_measured = measured < share * (measured + trained + 1)
        if at_random and (lacks_measured or not by_doubt):
            merged.append(at_random.popleft())
            measured += 1
        else:
            merged.append(by_doubt.popleft())
            trained += 1
    return [QueuedImage(each, readings[each.key], doubts[each.key], held_out[each.key]) for each in merged]


def _random(key: str) -> str:
    return hashlib.sha256(f"order {key}".encode()).hexdigest()
