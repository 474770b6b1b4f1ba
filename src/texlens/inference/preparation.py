"""Image preparation applied to the samples that a model reads.

Where confidence is low, a prepared image is read unprepared too, another one with larger glyphs; the surer reading is
kept. The second reading ends where it is no more probable than the first: it can't be kept any more. No torch, and no
scipy before an image is prepared.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import exp
from typing import TYPE_CHECKING

from texlens.data.sample import LazyImage, Rival, Sample
from texlens.metrics.prediction import Prediction

if TYPE_CHECKING:
    from texlens.inputs.image_preparation import Preparation

SURE = 0.7
"""An image whose reading has a lower probability is read in another view too. Of 220 rows of LaTeX_OCR `full`
validation 80 are under it, of which the second view corrects 7 and spoils 2; 46 are under 0.5: 5 and 1 (2026-12-01)."""

Read = Callable[[Sequence[Sample]], Iterator[Prediction]]


@dataclass(frozen=True)
class PreparedSample:
    """A sample and its prepared images, which are computed when first used; without a preparation they stay."""

    original: Sample
    preparation: "Preparation | None"

    @cached_property
    def sample(self) -> Sample:
        first, *others = (self._image(number) for number in range(len(self.original.images)))
        return replace(self.original, image=first, more_images=tuple(others))

    @cached_property
    def steps(self) -> tuple[str, ...]:
        """What was changed in the first image."""
        return self._prepared[0][1]

    @cached_property
    def _prepared(self) -> list[tuple[bytes, tuple[str, ...]]]:
        """Encoded image and steps of each image."""
        if self.preparation is None:
            return [(image.encoded(), ()) for image in self.original.images]
        from texlens.inputs.image_preparation import prepared_file

        return [prepared_file(image, self.preparation) for image in self.original.images]

    @cached_property
    def has_other_view(self) -> bool:
        """Whether `other_view` is an image, which is known sooner than it is drawn."""
        if self.steps or self.preparation is None:
            return bool(self.steps)
        from texlens.inputs.image_preparation import enlargement

        return enlargement(self.original.images[0].load(), self.preparation) is not None

    @cached_property
    def other_view(self) -> Sample | None:
        """What a doubtful reading is compared with: the original of a prepared image; of another one a copy with larger
        glyphs, where the model's preparation has a height for them and they are lower."""
        if self.steps:
            return self.original
        if self.preparation is None:
            return None
        from texlens.inputs.image_preparation import enlarged, png_of

        first = self.original.images[0]
        image = enlarged(first.load(), self.preparation)
        if image is None:
            return None
        return replace(self.original, image=LazyImage.from_bytes(png_of(image), first.where))

    @property
    def other_steps(self) -> tuple[str, ...]:
        """What was changed in `other_view`."""
        return () if self.steps else ("scaled",)

    def _image(self, number: int) -> LazyImage:
        original = self.original.images[number]
        return LazyImage(lambda: self._prepared[number][0], original.where, max_pixels=original.max_pixels)


def read_prepared(
    samples: Sequence[Sample], preparation: "Preparation", read: Read, *, twice: bool = True
) -> Iterator[Prediction]:
    """Predictions of prepared samples.

    Args:
        twice: read doubtful ones in the other view too and return the surer reading.
    """
    prepared = {sample.id: PreparedSample(sample, preparation) for sample in samples}
    doubtful: dict[str, Prediction] = {}
    views: list[Sample] = []
    for prediction in read([row.sample for row in prepared.values()]):
        if prediction.stop == "failed":
            yield prediction
            continue
        prediction = replace(prediction, prepared=prepared[prediction.id].steps)
        other = prepared[prediction.id].other_view if twice and _probability(prediction) < SURE else None
        if other is None:
            yield prediction
        else:
            doubtful[prediction.id] = prediction
            views.append(replace(other, rival=_rival(prediction)))
    for second in read(views) if views else ():
        first, steps = doubtful[second.id], prepared[second.id].other_steps
        yield max(first, replace(second, prepared=steps), key=_probability)


def probability_of(stop: str, log_probability: float | None) -> float:
    """Of a text, 0 for one that is no complete reading; calibration does not change the order."""
    return exp(log_probability) if stop in ("end", "stop") and log_probability is not None else 0.0


def _rival(first: Prediction) -> Rival | None:
    """What the second reading must be surer than; None where the first is no complete reading."""
    if not _probability(first) or first.log_probability is None:
        return None
    return Rival(first.text, first.log_probability)


def _probability(prediction: Prediction) -> float:
    return probability_of(prediction.stop, prediction.log_probability)
