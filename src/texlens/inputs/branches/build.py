"""The example of a row with all its questions: one branch each."""

from typing import Any

from transformers import PreTrainedTokenizerBase

from texlens.data.geometry import ImageGeometry
from texlens.data.sample import Sample
from texlens.inputs.branches.share_prefix import share_prefix
from texlens.inputs.chat_template import token_id
from texlens.inputs.example import Example, build_example, error_context
from texlens.inputs.special_tokens import IMAGE_TOKEN


def build_all_questions(
    sample: Sample,
    tokenizer: PreTrainedTokenizerBase,
    geometry: ImageGeometry,
    prompt: str,
    system_prompt: str | None = None,
    **options: Any,
) -> Example:
    """`build_example`, of which a row with `more_questions` has a branch for each question, its own first.

    Raises:
        DataError: as `build_example` for any of the questions, or the image is not before all of them.
    """
    first, *others = sample.separate()
    example = build_example(first, tokenizer, geometry, prompt, system_prompt, **options)
    if not others:
        return example
    branches = [build_example(other, tokenizer, geometry, prompt, system_prompt) for other in others]
    with error_context(sample):
        return share_prefix([example, *branches], token_id(tokenizer, IMAGE_TOKEN))
