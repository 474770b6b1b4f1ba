"""`data.max_tokens`: rows that are longer are rejected by name; nothing is ever cut."""

from dataclasses import replace

from transformers import PreTrainedTokenizerBase

from texlens.core.errors import DataError
from texlens.data.geometry import ImageGeometry
from texlens.data.sample import RejectedRow
from texlens.inputs.chat_template import count_text_tokens
from texlens.inputs.row_check import Checked


def reject_long_rows(
    checked: Checked,
    max_tokens: int,
    tokenizer: PreTrainedTokenizerBase,
    geometry: ImageGeometry,
    *,
    prompt: str,
    system_prompt: str | None,
) -> Checked:
    """The checked rows without those whose image, prompt, answer and further questions together have more than
    `max_tokens` tokens."""
    short, rejected, dropped, questions = [], list(checked.rejected), 0, checked.more_questions
    for index, sample in enumerate(checked.usable):
        image_tokens = sum(geometry.tokens(*image.size) for image in sample.images)
        tokens = image_tokens + count_text_tokens(tokenizer, sample, prompt, system_prompt)
        if tokens <= max_tokens:
            short.append(index)
            continue
        dropped += image_tokens
        questions -= len(sample.more_questions)
        error = DataError(f"{tokens:,} tokens, over data.max_tokens: {max_tokens:,}; raise it, or lower max_pixels")
        rejected.append(RejectedRow.from_error(sample, error, "too long"))
    return replace(
        checked,
        usable=checked.usable.take(short),
        rejected=rejected,
        image_tokens=checked.image_tokens - dropped,
        more_questions=questions,
    )
