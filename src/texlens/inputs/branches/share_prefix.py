"""Examples of one image that share their prefix: merged to one example of several branches, and divided again."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from texlens.core.errors import DataError
from texlens.core.labels import IGNORE_INDEX
from texlens.inputs.chat_template import common_length
from texlens.inputs.example import Example


def share_prefix(examples: Sequence[Example], image_token_id: int) -> Example:
    """One example with the common prefix once and the rest of each example as a branch.

    The prefix is the longest run of token ids that all begin with, cut before the token that predicts the first label
    of any: so each label is predicted within its own branch.

    Args:
        examples: of the same images; patches, features and the id are the first's. A single one comes back as it is.

    Example:
        input_ids [7, 7, 1, 20, 2] and [7, 7, 1, 30, 31, 2], labels from the fourth token on:
        [7, 7, 1, 20, 2, 1, 30, 31, 2] with branch_starts (2, 5)

    Raises:
        DataError: images differ, or one is not within the common prefix, as where prompts differ before it.
    """
    first, *others = examples
    if not others:
        return first
    if any(example.branch_starts for example in examples):
        raise ValueError("an example that has branches can't become one")
    length = min(
        common_length([example.input_ids for example in examples]), *(_first_label(example) - 1 for example in examples)
    )
    images = [example.input_ids.count(image_token_id) for example in examples]
    if any(example.grids != first.grids for example in others) or len(set(images)) > 1:
        raise DataError("questions about different images; put them into rows of their own")
    if first.input_ids[:length].count(image_token_id) != images[0]:
        raise DataError("questions that differ before the image; leave <image> out of them, or use rows of their own")
    ids, labels, starts = first.input_ids[:length], [IGNORE_INDEX] * length, []
    for example in examples:
        starts.append(len(ids))
        ids = ids + example.input_ids[length:]
        labels = labels + example.labels[length:]
    return replace(first, input_ids=ids, labels=labels, branch_starts=tuple(starts))


def separate(example: Example) -> list[Example]:
    """A plain example for each branch, prefix and images included; a plain example alone."""
    if not example.branch_starts:
        return [example]
    prefix = example.branch_starts[0]
    return [
        replace(
            example,
            input_ids=example.input_ids[:prefix] + example.input_ids[start:end],
            labels=example.labels[:prefix] + example.labels[start:end],
            branch_starts=(),
        )
        for start, end in pairwise((*example.branch_starts, len(example)))
    ]


def _first_label(example: Example) -> int:
    return next((at for at, label in enumerate(example.labels) if label != IGNORE_INDEX), len(example))
