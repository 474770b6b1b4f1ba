"""Rows as a torch Dataset of `Example`s: each decoded and cut into patches when it is asked for."""

import io
from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from texlens.core.errors import DataError
from texlens.core.labels import IGNORE_INDEX
from texlens.data.geometry import ImageGeometry
from texlens.data.load import Rows
from texlens.data.sample import LazyImage, RejectedRow, Sample
from texlens.inputs.branches.build import build_all_questions
from texlens.inputs.example import Example, Patchify
from texlens.inputs.feature_cache import FeatureStore
from texlens.inputs.image_patches import image_to_patches

Transform = Callable[[Image.Image, np.random.Generator], Image.Image]


class ExampleDataset(Dataset):
    """A row that fails comes back as its `RejectedRow`, which the collator passes on beside the batch made of the rest;
    with `strict` it raises.

    `transform` changes the decoded image; its generator is seeded by (seed, epoch, index), so what it draws depends
    neither on workers nor on the order in which rows are asked for. It must keep the image's size, since lengths are
    planned from headers. A `store` gives features of images in place of patches, and needs images that are not changed.
    """

    def __init__(
        self,
        rows: Rows,
        tokenizer: PreTrainedTokenizerBase,
        geometry: ImageGeometry,
        *,
        prompt: str,
        system_prompt: str | None = None,
        strict: bool = False,
        transform: Transform | None = None,
        seed: int = 0,
        patchify: Patchify = image_to_patches,
        store: FeatureStore | None = None,
    ):
        self.rows, self.tokenizer, self.geometry = rows, tokenizer, geometry
        self.prompt, self.system_prompt = prompt, system_prompt
        self.patchify, self.store = patchify, store
        self.strict, self.transform, self.seed = strict, transform, seed
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Example | RejectedRow:
        """
        Raises:
            DataError: the row fails and the data set is strict.
        """
        sample = self.rows[index]
        try:
            return self._example(sample, pixels=True, transform=self._drawn_transform(index), store=self.store)
        except DataError as error:
            if self.strict:
                raise
            return RejectedRow.from_error(sample, error, "damaged image")

    @property
    def epoch(self) -> int:
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate's data loader; the transforms of each epoch differ. Workers that live on see it too."""
        self._epoch.fill_(epoch)

    @cached_property
    def lengths(self) -> list[int]:
        """Tokens of each row from headers and texts alone; 0 for a row that will be rejected."""
        return [self.length(index) for index in range(len(self))]

    def length(self, index: int) -> int:
        """Tokens of a row from header and text alone; 0 for one that will be rejected."""
        try:
            return len(self._example(self.rows[index]))
        except DataError:
            return 0

    def dummy_example(self) -> Example:
        """One blank image and the question, without a label: for a batch whose rows were all rejected."""
        png = io.BytesIO()
        Image.new("RGB", (self.geometry.factor,) * 2, "white").save(png, "PNG")
        blank = Sample("stand-in", LazyImage.from_bytes(png.getvalue(), "stand-in"), "-")
        example = self._example(blank, pixels=True)
        prompt = example.input_ids[: -example.answer_tokens]
        return Example(prompt, [IGNORE_INDEX] * len(prompt), example.grid, example.sample_id, example.patches)

    def _example(self, sample: Sample, **options) -> Example:
        return build_all_questions(
            sample, self.tokenizer, self.geometry, self.prompt, self.system_prompt, patchify=self.patchify, **options
        )

    def _drawn_transform(self, index: int) -> Callable[[Image.Image], Image.Image] | None:
        transform = self.transform
        if transform is None:
            return None
        generator = np.random.default_rng([self.seed, self.epoch, index])
        return lambda image: _of_planned_size(image, transform(image, generator))


def _of_planned_size(image: Image.Image, changed: Image.Image) -> Image.Image:
    """The changed image, which must be as large as planned from the header."""
    if changed.size != image.size:
        raise ValueError(f"the transform made {changed.size} pixels of {image.size}; it must keep the size")
    return changed
