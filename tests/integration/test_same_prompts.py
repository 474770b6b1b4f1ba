"""Training, reading, serving and a stock program that loads an exported folder ask with the same token ids."""

import pytest
from transformers import AutoTokenizer

from tests.fixtures.drawn_images import drawn
from tests.fixtures.tiny_models import tiny_model
from texlens.core.labels import IGNORE_INDEX
from texlens.data.sample import LazyImage, Sample
from texlens.inference.adapter_switch import AdapterSwitch
from texlens.inference.backends.transformers import TransformersBackend
from texlens.inference.model import LoadedModel
from texlens.inference.prompts import prompt_example
from texlens.inference.scheduling.scheduler import RequestScheduler
from texlens.inputs.chat_template import PromptStyle
from texlens.inputs.example import build_example
from texlens.models.families import FAMILIES
from texlens.models.processor import save_processor

STYLE = PromptStyle("Read the formula.")
NO_THINKING = "<think>\n\n</think>\n\n"


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen3_5"])
def test_token_ids_of_a_prompt_are_the_same_everywhere(family, tmp_path):
    model, processor = tiny_model(family)
    image = LazyImage.from_bytes(drawn(120, 64, 0))
    sample = Sample("0", image, "x ^ 2")
    example = build_example(sample, processor.tokenizer, processor.geometry, STYLE.prompt, pixels=True)
    trained = example.input_ids[: sum(label == IGNORE_INDEX for label in example.labels)]
    read = prompt_example(processor, sample, STYLE).input_ids
    loaded = LoadedModel("base", TransformersBackend(AdapterSwitch(model), processor, None), STYLE, 4)
    with RequestScheduler({"base": loaded}) as scheduler:
        served = scheduler.prompt(image, model="base", prompt=STYLE.prompt, system=None).example.input_ids
    save_processor(processor, tmp_path)
    stock = AutoTokenizer.from_pretrained(tmp_path)
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": STYLE.prompt}]}
    text = stock.apply_chat_template([turn], tokenize=False, add_generation_prompt=True, enable_thinking=False)
    images = trained.count(processor.image_token_id)
    exported = stock(text.replace("<|image_pad|>", "<|image_pad|>" * images))["input_ids"]
    assert trained == read == served == exported
    assert text.endswith(NO_THINKING) is FAMILIES[family].thinks
