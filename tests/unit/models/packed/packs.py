"""Packs, their rows and gradients."""

import importlib.util
import os
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.fixtures.drawn_images import drawn
from texlens.data.sample import LazyImage, Sample
from texlens.inputs.example import build_example
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.inputs.pack import build_pack
from texlens.inputs.padded_collator import Collator
from texlens.kernels.loss.label_loss import label_loss
from texlens.models.packed.forward import pack_spec

SOME_LAYERS = (
    r".*language_model\..*\.(q_proj|v_proj|o_proj|gate_proj|up_proj|down_proj"
    r"|in_proj_qkv|in_proj_a|in_proj_b|out_proj)$"
)
"""For families of attention and of delta nets."""
ROWS = [((200, 50), "x ^ 2"), ((90, 120), r"\frac{a}{b}+c"), ((310, 80), "y"), ((64, 64), "a b c d e")]


def examples(processor, rows=ROWS, **options):
    samples = [
        Sample(str(number), LazyImage.from_bytes(drawn(*size, number)), text)
        for number, (size, text) in enumerate(rows)
    ]
    return [
        build_example(sample, processor.tokenizer, processor.geometry, "Read.", pixels=True, **options)
        for sample in samples
    ]


def pack_of(model, processor, rows=ROWS, **layout):
    raw = examples(processor, rows, patchify=image_to_raw_patches)
    return build_pack(raw, replace(pack_spec(model.config, processor), **layout))


def adapted(model, **options):
    torch.manual_seed(0)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": SOME_LAYERS, "init_lora_weights": False, **options}
    return get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings))


def gradients(loss, model) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def stock_loss(model, processor):
    batch = Collator(processor.pad_token_id, processor.image_token_id)(examples(processor))
    labels = batch.pop("labels")
    return label_loss(model(**batch).logits, labels, 7)


def worst(left: dict, expected: dict) -> float:
    assert left.keys() == expected.keys()
    return max(((left[name] - expected[name]).abs().max() / expected[name].abs().max()).item() for name in left)


with_triton = pytest.mark.skipif(
    not importlib.util.find_spec("triton") or os.environ.get("TRITON_INTERPRET") != "1",
    reason="not in Triton's interpreter",
)
