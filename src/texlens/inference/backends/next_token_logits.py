"""Logits after each prompt, by which two models are compared without generating text."""

from collections.abc import Sequence

import torch
from torch import Tensor

from texlens.core.errors import DataError
from texlens.data.sample import Sample
from texlens.inference.evaluation_mode import evaluation_mode
from texlens.inference.prompts import prompt_example
from texlens.inputs.chat_template import PromptStyle
from texlens.inputs.padded_collator import Collator
from texlens.models.processor import Processor


@torch.no_grad()
def next_token_logits(
    model: torch.nn.Module, processor: Processor, samples: Sequence[Sample], style: PromptStyle
) -> Tensor:
    """Float32 [samples, vocabulary] on the CPU; a row of NaN where the image can't be read.

    One sample at a time, so that no padding takes part.
    """
    collate = Collator(processor.pad_token_id, processor.image_token_id)
    device = next(model.parameters()).device
    rows: list[Tensor | None] = []
    with evaluation_mode(model):
        for sample in samples:
            try:
                batch = collate([prompt_example(processor, sample, style)])
            except DataError:
                rows.append(None)
                continue
            inputs = {name: part.to(device) for name, part in batch.items() if isinstance(part, Tensor)}
            del inputs["labels"]
            rows.append(model(**inputs, use_cache=False, logits_to_keep=1).logits[0, -1].float().cpu())
    return stack_rows(rows)


def stack_rows(rows: Sequence[Tensor | None]) -> Tensor:
    """[samples, vocabulary], NaN for the rows that are None."""
    width = next((len(row) for row in rows if row is not None), 1)
    return torch.stack([torch.full((width,), torch.nan) if row is None else row for row in rows])
