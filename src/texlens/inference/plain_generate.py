"""Reading through transformers' own `generate()`, with the generation_config.json of a folder: what users of the folder
get, without our decoder."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import GenerationConfig

from texlens.core.errors import DataError, ModelError
from texlens.data.sample import Sample
from texlens.inference.backends.transformers import TransformersBackend
from texlens.inference.model import LoadedModel
from texlens.inference.prompts import model_inputs, prompt_example


def plain_generate(model: LoadedModel, folder: Path, samples: Sequence[Sample]) -> list[str | None] | None:
    """A text per sample, None for a sample that can't be read; None if the folder is not read with transformers.

    One row at a time, so that there is no padding.

    Raises:
        ModelError: no generation_config.json in the folder, or a damaged one.
    """
    backend = model.backend
    if not isinstance(backend, TransformersBackend):
        return None
    try:
        settings = GenerationConfig.from_pretrained(str(folder))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: generation_config.json can't be read ({error}); export the run again") from error
    backend.activate()
    return [_text(backend, model, settings, sample) for sample in samples]


@torch.no_grad()
def _text(backend: TransformersBackend, model: LoadedModel, settings: GenerationConfig, sample: Sample) -> str | None:
    try:
        prompt = prompt_example(backend.processor, sample, model.style)
    except DataError:
        return None
    inputs = model_inputs(backend.processor, [prompt], backend.device)
    generate = getattr(backend.model, "generate")  # noqa: B009 - of a PeftModel or a PreTrainedModel
    tokens = generate(**inputs, generation_config=settings)[0, inputs["input_ids"].shape[1] :]
    text = backend.processor.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)
    return text
