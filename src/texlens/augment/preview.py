"""A section of the data report that shows what augmentation makes of some rows."""

import io
import random
from collections.abc import Mapping

import numpy as np
from PIL import Image

from texlens.augment.formula import FormulaTransform
from texlens.augment.photo import PhotoTransform
from texlens.core.errors import DataError
from texlens.data.load import Rows
from texlens.data.report.content import PictureRow, Section
from texlens.data.sample import LazyImage

ROWS, EPOCHS = 6, 5


def augment_section(
    splits: Mapping[str, Rows], transform: FormulaTransform | PhotoTransform, *, rows: int = ROWS, seed: int = 0
) -> Section:
    """Rows drawn by `seed` from the first split, each as it is and as the first epochs would show it.

    The generators are those that training with `train.seed` = `seed` draws from.
    """
    name, source = next(iter(splits.items()))
    chosen = sorted(random.Random(f"{seed} augment").sample(range(len(source)), min(rows, len(source))))
    kind = "formula" if isinstance(transform, FormulaTransform) else "photo"
    return Section(
        "augmentation",
        "Augmentation",
        f"data.augment: {kind}, with its default strengths. The size stays, and with it the planned tokens.",
        [_row(source, index, name, transform, seed) for index in chosen],
    )


def _row(rows: Rows, index: int, split: str, transform: FormulaTransform | PhotoTransform, seed: int) -> PictureRow:
    sample = rows[index]
    title = f"{sample.id} ({split})"
    try:
        original = sample.image.load()
    except DataError as error:
        return PictureRow(title, (), str(error))
    changed = [
        (f"epoch {epoch + 1}", _as_png(transform(original, np.random.default_rng([seed, epoch, index]))))
        for epoch in range(EPOCHS)
    ]
    return PictureRow(title, [("as it is", sample.image), *changed])


def _as_png(image: Image.Image) -> LazyImage:
    file = io.BytesIO()
    image.save(file, "PNG")
    return LazyImage.from_bytes(file.getvalue(), "augmented")
