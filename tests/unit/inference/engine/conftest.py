"""Prompts, engines and the stock generation that they are compared with."""

from dataclasses import replace

import pytest
import torch
from transformers import GenerationConfig

from tests.fixtures.drawn_images import drawn
from texlens.data.sample import LazyImage, Sample
from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.engine.engine import DecodingEngine
from texlens.inference.engine.plan import plan_for_rows
from texlens.inputs.chat_template import PromptStyle
from texlens.inputs.example import build_prompt
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.inputs.padded_collator import Collator

SIZES = [(120, 40), (64, 64), (200, 30), (90, 70), (64, 32), (150, 50)]


@pytest.fixture
def samples() -> list[Sample]:
    """Six images of six sizes."""
    return [
        Sample(str(row), LazyImage.from_bytes(drawn(*size, seed=row), f"row {row}"), f"text {row}")
        for row, size in enumerate(SIZES)
    ]


def prompts_of(processor, samples):
    """Prompts with raw patches, as the engine takes them."""
    style = PromptStyle("Read this.")
    return [
        build_prompt(sample, processor.tokenizer, processor.geometry, style, patchify=image_to_raw_patches)
        for sample in samples
    ]


def engine_of(
    model, processor, *, end_ids=frozenset(), adapters=(None,), slots=4, positions=160, packs=False, **changes
):
    plan = replace(plan_for_rows(slots, positions), **changes)
    return DecodingEngine(model, processor, end_ids=frozenset(end_ids), adapters=adapters, plan=plan, packs=packs)


def states_of(count, *, max_new_tokens=12, **sampling):
    sampling = {"repetition_guard": False, **sampling}
    return [GenerationState(Sampling(max_new_tokens, **sampling)) for _ in range(count)]


def stock(model, processor, sample, *, max_new_tokens=12, end_ids=frozenset()):
    """Tokens and log-probabilities of transformers' own greedy search for one row alone."""
    style = PromptStyle("Read this.")
    prompt = build_prompt(sample, processor.tokenizer, processor.geometry, style)
    inputs = Collator(processor.pad_token_id, processor.image_token_id, left=True)([prompt])
    inputs.pop("labels")
    settings = GenerationConfig(
        do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=sorted(end_ids) or [-1], pad_token_id=256
    )
    output = model.generate(**inputs, generation_config=settings, output_scores=True, return_dict_in_generate=True)
    tokens = output.sequences[0, inputs["input_ids"].shape[1] :].tolist()
    steps_LV = torch.stack(output.scores, dim=1)[0].log_softmax(-1)
    return tokens, [steps_LV[number, token].item() for number, token in enumerate(tokens)]
