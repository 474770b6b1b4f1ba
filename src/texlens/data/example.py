"""The `Example`: a sample as token ids and labels, the loss on the answer alone by construction."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from transformers import PreTrainedTokenizerBase

from texlens.core.errors import DataError
from texlens.data.geometry import ImageGeometry
from texlens.data.patches import image_to_patches
from texlens.data.prompt import PromptStyle, answer_ids, prompt_ids
from texlens.data.sample import Sample

IGNORED = -100
"""The label of a token without loss."""
Cut = Callable[[Image.Image, ImageGeometry], tuple[np.ndarray, tuple[int, int, int]]]
"""`image_to_patches`, or `image_to_raw_patches` for packs."""


@dataclass(frozen=True)
class Example:
    """`grid` counts patches (frames, rows, columns); `patches` are float32 [P, C] (uint8 of one frame for
    packs), or None where not asked for.

    Example:
        input_ids = [ <image>, <image>, Read,  x, ^, 2, <|im_end|>]
        labels    = [    -100,    -100, -100,  x, ^, 2, <|im_end|>]
    """

    input_ids: list[int]
    labels: list[int]
    grid: tuple[int, int, int]
    sample_id: str
    patches: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def answer_tokens(self) -> int:
        return sum(label != IGNORED for label in self.labels)


def build_example(
    sample: Sample,
    tokenizer: PreTrainedTokenizerBase,
    geometry: ImageGeometry,
    question: str,
    system: str | None = None,
    *,
    pixels: bool = False,
    transform: Callable[[Image.Image], Image.Image] | None = None,
    cut: Cut = image_to_patches,
) -> Example:
    """The sample's tokens and labels; with `pixels` the image is decoded, given to `transform`, and `cut` into patches.

    Raises:
        DataError: the image is unreadable or too long and thin, the answer empty, or a special token in a text.
    """
    where = sample.image.where
    try:
        if pixels:
            image = sample.image.load()
            patches, grid = cut(transform(image) if transform else image, geometry)
        else:
            patches, grid = None, geometry.grid(*sample.image.size)
        asked = PromptStyle(question, system).of(sample)
        image_tokens = grid[0] * grid[1] * grid[2] // geometry.merge_size**2
        prompt = prompt_ids(tokenizer, question=asked.question, system=asked.system, image_tokens=image_tokens)
        answer = answer_ids(tokenizer, sample.text)
    except DataError as error:
        raise error if str(error).startswith(where) else DataError(f"{where}: {error}") from error
    return Example([*prompt, *answer], [IGNORED] * len(prompt) + answer, grid, sample.id, patches)
