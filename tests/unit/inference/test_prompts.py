"""Samples as the inputs of a decoding batch."""

import torch

from tests.fixtures.drawn_images import drawn
from tests.fixtures.tiny_models import tiny_model
from texlens.data.sample import LazyImage, Sample
from texlens.inference.prompts import end_ids, model_inputs, prompt_example
from texlens.inputs.chat_template import PromptStyle

STYLE = PromptStyle("Read.", None)


def test_prompts_are_padded_on_the_left_and_have_no_labels():
    _, processor = tiny_model("qwen3_vl")
    samples = [
        Sample("a", LazyImage.from_bytes(drawn(64, 32, 0)), ""),
        Sample("b", LazyImage.from_bytes(drawn(128, 64, 1)), ""),
    ]
    prompts = [prompt_example(processor, sample, STYLE) for sample in samples]
    assert {label for prompt in prompts for label in prompt.labels} == {-100}

    inputs = model_inputs(processor, prompts, torch.device("cpu"))
    lengths = [len(prompt) for prompt in prompts]
    assert inputs["input_ids"].shape == (2, max(lengths))
    assert inputs["attention_mask"].sum(1).tolist() == lengths
    assert inputs["attention_mask"][:, -1].tolist() == [1, 1]
    assert "labels" not in inputs


def test_raw_patches_are_bytes_of_one_frame():
    _, processor = tiny_model("qwen3_vl")
    sample = Sample("a", LazyImage.from_bytes(drawn(64, 32, 0)), "")
    raw, patches = (prompt_example(processor, sample, STYLE, raw_patches=raw).patches for raw in (True, False))
    assert raw.dtype == "uint8"
    assert patches.shape[1] == 2 * raw.shape[1]


def test_a_turn_ends_with_two_tokens():
    _, processor = tiny_model("qwen3_vl")
    assert end_ids(processor) == {processor.end_token_id, processor.pad_token_id}
