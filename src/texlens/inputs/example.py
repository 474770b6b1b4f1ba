"""The `Example`: a sample as token ids and labels, the loss on the answers alone by construction."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from transformers import PreTrainedTokenizerBase

from texlens.core.errors import DataError
from texlens.core.labels import IGNORE_INDEX
from texlens.data.geometry import ImageGeometry
from texlens.data.sample import LazyImage, Sample
from texlens.inputs.chat_template import PromptStyle, answer_ids, conversation
from texlens.inputs.image_patches import image_to_patches

if TYPE_CHECKING:  # torch takes seconds to load, and reading without it needs this file
    from torch import Tensor

    from texlens.inputs.feature_cache import FeatureStore

Patchify = Callable[[Image.Image, ImageGeometry], tuple[np.ndarray, tuple[int, int, int]]]
"""`image_to_patches`, or `image_to_raw_patches` for packs."""
ReadPatches = Callable[[LazyImage, ImageGeometry], tuple[np.ndarray, tuple[int, int, int]]]
"""An image that is not decoded yet to patches; `PatchProcesses.patches`, for example."""


@dataclass(frozen=True)
class Example:
    """`grid` counts patches (frames, rows, columns); `patches` are float32 [P, C] (uint8 of one frame for
    packs), or None where not asked for. Of several images `grids` has each one's, and the patches stand one image
    after the other. In a conversation of several turns every assistant's turn carries labels.

    Where features of images are kept, `keys` has each image's key and `features` what is kept of it, [K, V, D], or
    None; only images without have patches.

    An example of several branches (`inputs.branches`) has `branch_starts`, where each begins in `input_ids`: what is
    before the first is the prefix that all share, without labels.

    Example:
        input_ids = [ <image>, <image>, Read,  x, ^, 2, <|im_end|>]
        labels    = [    -100,    -100, -100,  x, ^, 2, <|im_end|>]
    """

    input_ids: list[int]
    labels: list[int]
    grid: tuple[int, int, int]
    sample_id: str
    patches: np.ndarray | None = None
    more_grids: tuple[tuple[int, int, int], ...] = ()
    keys: tuple[str, ...] = ()
    features: tuple["Tensor | None", ...] = ()
    branch_starts: tuple[int, ...] = ()

    @property
    def grids(self) -> tuple[tuple[int, int, int], ...]:
        """The grid of each image, in their order."""
        return (self.grid, *self.more_grids)

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def answer_tokens(self) -> int:
        return sum(label != IGNORE_INDEX for label in self.labels)


def build_example(
    sample: Sample,
    tokenizer: PreTrainedTokenizerBase,
    geometry: ImageGeometry,
    prompt: str,
    system_prompt: str | None = None,
    *,
    pixels: bool = False,
    transform: Callable[[Image.Image], Image.Image] | None = None,
    patchify: Patchify = image_to_patches,
    store: "FeatureStore | None" = None,
) -> Example:
    """The sample's tokens and labels; with `pixels` images are decoded, given to `transform`, and `cut` into patches,
    but for those whose features are in `store`. Of a row with `more_questions` its own question alone: see
    `branches.build`.

    Raises:
        DataError: an image is unreadable or too long and thin, an answer empty, or a special token in a text.
    """
    style = PromptStyle(prompt, system_prompt)
    example = build_prompt(
        sample, tokenizer, geometry, style, pixels=pixels, transform=transform, patchify=patchify, store=store
    )
    with error_context(sample):
        answer = answer_ids(tokenizer, sample.text)
    labels = answer if sample.is_trained else [IGNORE_INDEX] * len(answer)
    return replace(example, input_ids=example.input_ids + answer, labels=example.labels + labels)


def build_prompt(
    sample: Sample,
    tokenizer: PreTrainedTokenizerBase,
    geometry: ImageGeometry,
    style: PromptStyle,
    *,
    pixels: bool = True,
    transform: Callable[[Image.Image], Image.Image] | None = None,
    patchify: Patchify = image_to_patches,
    read_patches: ReadPatches | None = None,
    store: "FeatureStore | None" = None,
) -> Example:
    """The sample as an example without its answer; earlier answers carry labels.

    Args:
        read_patches: decodes and patches an image, instead of `transform` and `patchify`.

    Raises:
        DataError: as `build_example`.
    """
    with error_context(sample):
        patches: list[np.ndarray] = []
        grids: list[tuple[int, int, int]] = []
        keys = tuple(store.key(image) for image in sample.images) if store and pixels else ()
        features = tuple(
            _cached_features(key, image, geometry, store) for key, image in zip(keys, sample.images, strict=False)
        )
        for number, image in enumerate(sample.images):
            if pixels and not (features and features[number] is not None):
                if read_patches is not None:
                    cut_out, grid = read_patches(image, geometry)
                else:
                    decoded = image.load()
                    cut_out, grid = patchify(transform(decoded) if transform else decoded, geometry)
                patches.append(cut_out)
            else:
                grid = geometry.grid(*image.size)
            grids.append(grid)
        counts = [frames * rows * columns // geometry.merge_size**2 for frames, rows, columns in grids]
        spans = conversation(tokenizer, sample, style, counts)
    return Example(
        [token for span in spans for token in span.ids],
        [token if span.is_answer else IGNORE_INDEX for span in spans for token in span.ids],
        grids[0],
        sample.id,
        (patches[0] if len(patches) == 1 else np.concatenate(patches)) if patches else None,
        tuple(grids[1:]),
        keys,
        features,
    )


def _cached_features(
    key: str, image: LazyImage, geometry: ImageGeometry, store: "FeatureStore | None"
) -> "Tensor | None":
    return store.read(key, geometry.tokens(*image.size)) if store else None


@contextmanager
def error_context(sample: Sample) -> Iterator[None]:
    """Puts the row's place before a `DataError` raised inside that does not name it."""
    where = sample.image.where
    try:
        yield
    except DataError as error:
        raise error if str(error).startswith(where) else DataError(f"{where}: {error}", error.kind) from error
