"""Reading images: samples in, `Prediction`s out, in batches of like length.

Every row comes back once. A row whose image can't be read comes back as `failed`, with the reason.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from texlens.core.errors import ConfigError, DataError
from texlens.core.prediction import Prediction
from texlens.data.patches import image_to_patches
from texlens.data.prompt import prompt_ids
from texlens.data.sample import Sample
from texlens.models.decode import Decoded, decode_batch, evaluating
from texlens.models.processor import Processor


@dataclass(frozen=True)
class Prompt:
    """One row ready for the model: token ids, image patches [P, C] and their grid (1, h, w)."""

    sample: Sample
    ids: list[int]
    patches: Tensor
    grid: tuple[int, int, int]


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
) -> Iterator[Prediction]:
    """Predictions batch by batch, longest images first; `in_order` restores the order of `samples`.

    Args:
        question, system: asked of every sample that brings no `prompt` or `system` of its own.
        do_sample: draw tokens at `temperature` from a generator seeded with `seed`; else the likeliest token.
        repetition_guard: cut a row that says the same few tokens over and over (its `stop` is then `loop`).
        on_progress: called with rows done and rows in all, after each batch.

    Raises:
        ConfigError: a batch, limit or temperature that is not positive.
    """
    _check(batch_size, max_new_tokens, temperature)
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed) if do_sample else None
    done = 0
    for prompts, failed in _batches(processor, samples, question, system, batch_size):
        predictions = failed
        if prompts:
            inputs = left_padded(prompts, processor, device)
            with evaluating(model):
                answers = decode_batch(
                    model,
                    inputs,
                    max_new_tokens=max_new_tokens,
                    end_ids=frozenset({processor.end_token_id, processor.pad_token_id}),
                    temperature=temperature if do_sample else None,
                    generator=generator,
                    repetition_guard=repetition_guard,
                )
            predictions = predictions + [
                _prediction(processor, prompt.sample, answer) for prompt, answer in zip(prompts, answers, strict=True)
            ]
        done += len(predictions)
        if on_progress is not None:
            on_progress(done, len(samples))
        yield from predictions


def in_order(predictions: Iterator[Prediction], samples: Sequence[Sample]) -> list[Prediction]:
    """The predictions of `generate`, all of them, in the order of the samples (whose ids must differ)."""
    found = {prediction.id: prediction for prediction in predictions}
    return [found[sample.id] for sample in samples]


def left_padded(prompts: Sequence[Prompt], processor: Processor, device: torch.device) -> dict[str, Tensor]:
    """Model inputs, with padding on the left so that every row's next token stands in the last column.

    Example:
        ids            = [[5, 6, 7], [8]]
        input_ids      = [[5, 6, 7], [0, 0, 8]]    (pad token 0)
        attention_mask = [[1, 1, 1], [0, 0, 1]]
    """
    longest = max(len(prompt.ids) for prompt in prompts)
    ids_BL = torch.full((len(prompts), longest), processor.pad_token_id)
    mask_BL = torch.zeros((len(prompts), longest), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids_BL[row, longest - len(prompt.ids) :] = torch.tensor(prompt.ids)
        mask_BL[row, longest - len(prompt.ids) :] = 1
    inputs = {
        "input_ids": ids_BL,
        "attention_mask": mask_BL,
        "mm_token_type_ids": (ids_BL == processor.image_token_id).long(),
        "pixel_values": torch.cat([prompt.patches for prompt in prompts]),
        "image_grid_thw": torch.tensor([prompt.grid for prompt in prompts]),
    }
    return {name: tensor.to(device, non_blocking=True) for name, tensor in inputs.items()}


def _batches(
    processor: Processor, samples: Sequence[Sample], question: str, system: str | None, batch_size: int
) -> Iterator[tuple[list[Prompt], list[Prediction]]]:
    """Prompts and failed rows of each batch; the next batch's images are decoded while the model reads this one."""
    order = sorted(range(len(samples)), key=lambda index: (-_image_tokens(processor, samples[index]), index))
    chunks = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]

    def prepare(chunk: list[int]) -> tuple[list[Prompt], list[Prediction]]:
        made = [_prompt(processor, samples[index], question, system) for index in chunk]
        return [p for p in made if isinstance(p, Prompt)], [p for p in made if isinstance(p, Prediction)]

    with ThreadPoolExecutor(1) as pool:
        ahead = [pool.submit(prepare, chunk) for chunk in chunks[:1]]
        for chunk in chunks[1:]:
            ahead.append(pool.submit(prepare, chunk))
            yield ahead.pop(0).result()
        for future in ahead:
            yield future.result()


def _image_tokens(processor: Processor, sample: Sample) -> int:
    try:
        return processor.geometry.tokens(*sample.image.size)
    except DataError:
        return 0


def _prompt(processor: Processor, sample: Sample, question: str, system: str | None) -> Prompt | Prediction:
    try:
        patches_PC, grid = image_to_patches(sample.image.load(), processor.geometry)
    except DataError as error:
        return Prediction(sample.id, sample.text, "", stop="failed", domain=sample.domain, error=str(error))
    ids = prompt_ids(
        processor.tokenizer,
        question=question if sample.prompt is None else sample.prompt,
        system=system if sample.system is None else sample.system,
        image_tokens=grid[1] * grid[2] // processor.geometry.merge_size**2,
    )
    return Prompt(sample, ids, torch.from_numpy(patches_PC), grid)


def _prediction(processor: Processor, sample: Sample, answer: Decoded) -> Prediction:
    said = answer.tokens[:-1] if answer.stop == "end" else answer.tokens
    return Prediction(
        id=sample.id,
        truth=sample.text,
        text=processor.tokenizer.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False),
        stop=answer.stop,
        tokens=len(answer.tokens),
        log_probability=answer.log_probability,
        domain=sample.domain,
    )


def _check(batch_size: int, max_new_tokens: int, temperature: float) -> None:
    for name, value in (("batch_size", batch_size), ("max_new_tokens", max_new_tokens), ("temperature", temperature)):
        if value <= 0:
            raise ConfigError(f"{name} is {value}; it must be more than 0")
