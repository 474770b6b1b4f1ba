"""What a model would say first: the logits after each prompt, by which two systems are held against each other."""

from collections.abc import Sequence

import torch
from torch import Tensor

from texlens.core.errors import DataError
from texlens.data.sample import Sample
from texlens.inference.decode import evaluating
from texlens.inference.generate import prompt_of
from texlens.inputs.chat_template import PromptStyle
from texlens.inputs.padded_collator import Collator
from texlens.models.processor import Processor


@torch.no_grad()
def first_logits(
    model: torch.nn.Module,
    processor: Processor,
    samples: Sequence[Sample],
    *,
    question: str,
    system: str | None = None,
) -> Tensor:
    """Float32 logits on the CPU, one row a sample; a row of NaN where the image can't be read.

    One sample at a time, so that no padding takes part.
    """
    collate = Collator(processor.pad_token_id, processor.image_token_id)
    style = PromptStyle(question, system)
    device = next(model.parameters()).device
    rows: list[Tensor | None] = []
    with evaluating(model):
        for sample in samples:
            try:
                batch = collate([prompt_of(processor, sample, style)])
            except DataError:
                rows.append(None)
                continue
            inputs = {name: part.to(device) for name, part in batch.items() if isinstance(part, Tensor)}
            del inputs["labels"]
            rows.append(model(**inputs, use_cache=False, logits_to_keep=1).logits[0, -1].float().cpu())
    width = next((len(row) for row in rows if row is not None), 1)
    return torch.stack([torch.full((width,), torch.nan) if row is None else row for row in rows])
