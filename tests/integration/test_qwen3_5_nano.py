"""A nano of Qwen3.5 from random weights fits rows that it is trained on: gradients are right from image to text.

All 64 rows with FIT_NANO=1 (`make test-all`), a slice of them otherwise.
"""

import os
import random

import pytest
import torch

from tests.fixtures.drawn_images import drawn
from tests.fixtures.nano_qwen3_5 import nano_model
from texlens.data.sample import LazyImage, Sample
from texlens.inference.adapter_switch import AdapterSwitch
from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.engine.engine_batch import EngineBatch
from texlens.inference.engine.plan import plan_for_rows
from texlens.inference.prompts import prompt_example
from texlens.inputs.chat_template import PromptStyle
from texlens.inputs.example import build_example
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.inputs.pack import build_pack
from texlens.models.packed.forward import pack_spec, packed_forward

STYLE = PromptStyle("Read.")
COMPLETE = os.environ.get("FIT_NANO") == "1"


def rows(count: int) -> list[Sample]:
    """Different strokes, and a text that the image alone determines."""
    draw = random.Random(0)
    texts = ["".join(draw.choice("abcdxyz0123+-=") for _ in range(draw.randint(4, 9))) for _ in range(count)]
    return [
        Sample(str(number), LazyImage.from_bytes(drawn(96 + 32 * (number % 4), 64, number)), text)
        for number, text in enumerate(texts)
    ]


def fit(model, processor, samples, steps: int) -> list[float]:
    """Mean loss of a label after each step, in nats."""
    examples = [
        build_example(
            sample, processor.tokenizer, processor.geometry, "Read.", pixels=True, patchify=image_to_raw_patches
        )
        for sample in samples
    ]
    pack = build_pack(examples, pack_spec(model.config, processor))
    forward = packed_forward(model.train(), processor.geometry, fused=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=max(steps, 2), pct_start=0.1)
    losses = []
    for _ in range(steps):
        loss = forward.loss(pack) / len(pack["labels"])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    model.eval()
    return losses


def read(model, processor, samples) -> list[str]:
    batch = EngineBatch(AdapterSwitch(model), processor, [None], plan_for_rows(16, 128))
    states = [GenerationState(Sampling(max_new_tokens=16), None, 0) for _ in samples]
    batch.prefill([prompt_example(processor, sample, STYLE, raw_patches=True) for sample in samples], states)
    while any(state.is_active for state in states):
        batch.step()
    return [processor.tokenizer.decode(state.tokens, skip_special_tokens=True) for state in states]


def test_the_loss_falls_from_the_first_steps():
    model, processor = nano_model()
    losses = fit(model, processor, rows(8), 8)
    assert losses[-1] < losses[0] - 1


@pytest.mark.timeout(3600)
@pytest.mark.skipif(not COMPLETE, reason="minutes of training: FIT_NANO=1, or make test-all")
def test_all_64_rows_are_fitted_and_read():
    model, processor = nano_model()
    samples = rows(64)
    losses = fit(model, processor, samples, 300)
    assert losses[-1] < 0.02
    assert read(model, processor, samples) == [sample.text for sample in samples]
