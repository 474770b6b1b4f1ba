"""Reading images: samples in, `Prediction`s out, in batches of like length.

Every row comes back once. A row whose image can't be read comes back as `failed`, with the reason.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from texlens.core.errors import ConfigError, DataError
from texlens.data.sample import Sample
from texlens.inference.decode import Decoded, decode_batch, evaluating
from texlens.inference.detokenize import TextStream, TokenPieces
from texlens.inputs.chat_template import PromptStyle, prompt_ids
from texlens.inputs.example import IGNORED, Example, build_prompt
from texlens.inputs.padded_collator import Collator
from texlens.metrics.prediction import Prediction
from texlens.models.processor import Processor

OnToken = Callable[[str, str], None]


def generate(
    model: torch.nn.Module,
    processor: Processor,
    samples: Sequence[Sample],
    *,
    question: str,
    system: str | None = None,
    batch_size: int = 16,
    max_new_tokens: int = 512,
    do_sample: bool = False,
    temperature: float = 1.0,
    seed: int = 0,
    repetition_guard: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
    on_token: OnToken | None = None,
) -> Iterator[Prediction]:
    """Predictions batch by batch, longest images first; `in_order` restores the order of `samples`.

    Args:
        question, system: asked of every sample that brings no `prompt` or `system` of its own.
        do_sample: draw tokens at `temperature` from a generator seeded with `seed`; else the likeliest token.
        repetition_guard: cut a row that says the same few tokens over and over (its `stop` is then `loop`).
        on_progress: called with rows done and rows in all, after each batch.
        on_token: called with a sample's id and the text that its newest token made sure.

    Raises:
        ConfigError: a batch, limit or temperature that is not positive.
        DataError: the question or system prompt can't be asked.
    """
    _check(batch_size, max_new_tokens, temperature)
    style = PromptStyle(question, system)
    prompt_ids(processor.tokenizer, prompt=question, system_prompt=system, image_tokens=1)
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed) if do_sample else None
    pieces, done = TokenPieces(processor.tokenizer), 0
    for rows, prompts, failed in _batches(processor, samples, style, batch_size):
        predictions = failed
        if prompts:
            with evaluating(model):
                answers = decode_batch(
                    model,
                    model_inputs(processor, prompts, device),
                    max_new_tokens=max_new_tokens,
                    end_ids=end_ids(processor),
                    temperature=temperature if do_sample else None,
                    generator=generator,
                    repetition_guard=repetition_guard,
                    texts=None if on_token is None else [TextStream(pieces) for _ in rows],
                    on_step=None if on_token is None else partial(_tell, on_token, rows),
                )
            predictions = predictions + [
                _prediction(processor, sample, answer) for sample, answer in zip(rows, answers, strict=True)
            ]
        done += len(predictions)
        if on_progress is not None:
            on_progress(done, len(samples))
        yield from predictions


def _tell(on_token: OnToken, samples: Sequence[Sample], rows: Sequence[Decoded]) -> None:
    for sample, row in zip(samples, rows, strict=True):
        if row.fresh:
            on_token(sample.id, row.fresh)
            row.fresh = ""


def in_order(predictions: Iterator[Prediction], samples: Sequence[Sample]) -> list[Prediction]:
    """The predictions of `generate`, all of them, in the order of the samples (whose ids must differ)."""
    found = {prediction.id: prediction for prediction in predictions}
    return [found[sample.id] for sample in samples]


def prompt_of(processor: Processor, sample: Sample, style: PromptStyle) -> Example:
    """The sample as an example without an answer and without labels: prompt tokens and image patches.

    Raises:
        DataError: the image can't be read, or the row's own prompt can't be asked.
    """
    example = build_prompt(sample, processor.tokenizer, processor.geometry, style)
    return replace(example, labels=[IGNORED] * len(example))


def model_inputs(processor: Processor, prompts: Sequence[Example], device: torch.device) -> dict[str, Tensor]:
    """Prompts side by side, padded on the left, as the decoder takes them."""
    batch = Collator(processor.pad_token_id, processor.image_token_id, left=True)(prompts)
    return {
        name: tensor.to(device, non_blocking=True)
        for name, tensor in batch.items()
        if isinstance(tensor, Tensor) and name != "labels"
    }


def end_ids(processor: Processor) -> frozenset[int]:
    """The tokens that end a turn."""
    return frozenset({processor.end_token_id, processor.pad_token_id})


_Prepared = tuple[list[Sample], list[Example], list[Prediction]]


def _batches(
    processor: Processor, samples: Sequence[Sample], style: PromptStyle, batch_size: int
) -> Iterator[_Prepared]:
    """Of each batch the readable rows, their prompts, and the failed rows.

    The next batch's images are decoded while the model reads this one.
    """
    order = sorted(range(len(samples)), key=lambda index: (-_image_tokens(processor, samples[index]), index))
    chunks = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]

    def prepare(chunk: list[int]) -> _Prepared:
        return _prepare(processor, [samples[index] for index in chunk], style)

    with ThreadPoolExecutor(1) as pool:
        ahead = [pool.submit(prepare, chunk) for chunk in chunks[:1]]
        for chunk in chunks[1:]:
            ahead.append(pool.submit(prepare, chunk))
            yield ahead.pop(0).result()
        for future in ahead:
            yield future.result()


def _prepare(processor: Processor, samples: Sequence[Sample], style: PromptStyle) -> _Prepared:
    rows, prompts, failed = [], [], []
    for sample in samples:
        try:
            prompts.append(prompt_of(processor, sample, style))
            rows.append(sample)
        except DataError as error:
            failed.append(
                Prediction(
                    sample.id,
                    sample.text,
                    "",
                    stop="failed",
                    domain=sample.domain,
                    error=str(error),
                    more_references=sample.more_answers,
                )
            )
    return rows, prompts, failed


def _image_tokens(processor: Processor, sample: Sample) -> int:
    """What to sort by; a row that fails here will say why when it is prepared."""
    try:
        return sum(processor.geometry.tokens(*image.size) for image in sample.images)
    except DataError:
        return 0


def _prediction(processor: Processor, sample: Sample, answer: Decoded) -> Prediction:
    said = answer.tokens[:-1] if answer.stop == "end" else answer.tokens
    text = processor.tokenizer.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)
    return Prediction(
        id=sample.id,
        reference=sample.text,
        text=text,
        stop=answer.stop,
        tokens=len(answer.tokens),
        log_probability=answer.log_probability,
        domain=sample.domain,
        more_references=sample.more_answers,
    )


def _check(batch_size: int, max_new_tokens: int, temperature: float) -> None:
    for name, value in (("batch_size", batch_size), ("max_new_tokens", max_new_tokens), ("temperature", temperature)):
        if value <= 0:
            raise ConfigError(f"{name} is {value}; it must be more than 0")
