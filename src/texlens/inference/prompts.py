"""Samples to the inputs of a decoding batch: prompt tokens and image patches, padded on the left."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from texlens.core.labels import IGNORE_INDEX
from texlens.data.sample import Sample
from texlens.inputs.chat_template import PromptStyle
from texlens.inputs.example import Example, ReadPatches, build_prompt
from texlens.inputs.image_patches import image_to_patches, image_to_raw_patches
from texlens.inputs.padded_collator import Collator
from texlens.models.processor import Processor


def prompt_example(
    processor: Processor,
    sample: Sample,
    style: PromptStyle,
    *,
    raw_patches: bool = False,
    read_patches: ReadPatches | None = None,
) -> Example:
    """The sample as an example without an answer and without labels.

    Args:
        raw_patches: uint8 patches of one frame, instead of normalized float32 ones.
        read_patches: decodes and patches an image, in the form that `raw_patches` asks for.

    Raises:
        DataError: the image can't be read, or the row's own prompt holds a special token.
    """
    patchify = image_to_raw_patches if raw_patches else image_to_patches
    example = build_prompt(
        sample, processor.tokenizer, processor.geometry, style, patchify=patchify, read_patches=read_patches
    )
    return replace(example, labels=[IGNORE_INDEX] * len(example))


def model_inputs(processor: Processor, prompts: Sequence[Example], device: torch.device) -> dict[str, Tensor]:
    """What a forward of transformers takes: input_ids, attention_mask, mm_token_type_ids [B, L], pixel_values,
    image_grid_thw."""
    batch = Collator(processor.pad_token_id, processor.image_token_id, left=True)(prompts)
    return {
        name: tensor.to(device, non_blocking=True)
        for name, tensor in batch.items()
        if isinstance(tensor, Tensor) and name != "labels"
    }


def end_ids(processor: Processor) -> frozenset[int]:
    """Tokens that end a turn."""
    return frozenset({processor.end_token_id, processor.pad_token_id})
