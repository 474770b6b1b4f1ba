import dataclasses
import json

import pytest
from transformers import AutoTokenizer
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_processor, write_tiny_checkpoint
from texlens.core.errors import ModelError
from texlens.models.processor import load_processor, save_processor


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_a_saved_processor_is_loaded(tmp_path, family):
    write_tiny_checkpoint(tmp_path, family)
    processor = load_processor(tmp_path)
    original = tiny_processor(family)

    assert processor.geometry == original.geometry
    assert processor.family is original.family
    assert (processor.image_token_id, processor.end_token_id) == (original.image_token_id, original.end_token_id)
    assert processor.tokenizer.get_vocab() == original.tokenizer.get_vocab()
    assert processor.tokenizer.chat_template == original.tokenizer.chat_template


def test_stock_loaders_read_the_saved_pixel_budget_and_tokens(checkpoint, tmp_path):
    processor = load_processor(checkpoint, min_pixels=3072, max_pixels=9216)
    save_processor(processor, tmp_path / "saved")

    images = Qwen2VLImageProcessorPil.from_pretrained(tmp_path / "saved")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saved")

    assert (images.size["shortest_edge"], images.size["longest_edge"]) == (3072, 9216)
    assert (images.patch_size, images.merge_size) == (16, 2)
    assert tokenizer("\\frac")["input_ids"] == processor.tokenizer("\\frac")["input_ids"]
    assert tokenizer.chat_template == processor.tokenizer.chat_template


def test_a_nested_budget_is_replaced_when_saving(checkpoint):
    nested = {"image_processor": {"min_pixels": 1024, "max_pixels": 4096}}
    (checkpoint / "processor_config.json").write_text(json.dumps(nested))
    wider = dataclasses.replace(load_processor(checkpoint).geometry, max_pixels=8192)
    save_processor(dataclasses.replace(load_processor(checkpoint), geometry=wider), checkpoint)

    assert load_processor(checkpoint).geometry.max_pixels == 8192


def test_the_processors_template_overrides_the_tokenizers(checkpoint):
    (checkpoint / "chat_template.jinja").rename(checkpoint / "old.jinja")
    (checkpoint / "chat_template.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))

    assert load_processor(checkpoint).tokenizer.chat_template == "{{ messages }}"


def test_a_template_inside_the_tokenizers_config_is_enough(checkpoint):
    (checkpoint / "chat_template.jinja").unlink()
    settings = json.loads((checkpoint / "tokenizer_config.json").read_text())
    (checkpoint / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": "{{ messages }}"}))

    assert load_processor(checkpoint).tokenizer.chat_template == "{{ messages }}"


def test_a_checkpoint_without_template_is_refused(checkpoint):
    (checkpoint / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="no chat template"):
        load_processor(checkpoint)


def test_a_checkpoint_without_tokenizer_is_refused(checkpoint):
    (checkpoint / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"no tokenizer.json \(nor vocab.json\) in it"):
        load_processor(checkpoint)


def test_a_damaged_tokenizer_is_named(checkpoint):
    (checkpoint / "tokenizer.json").write_text('{"model": 3}')
    with pytest.raises(ModelError, match=r"the tokenizer can't be read .*download its files again"):
        load_processor(checkpoint)


def test_a_tokenizer_of_another_checkpoint_is_refused(checkpoint):
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(config | {"image_token_id": 151_655}))
    with pytest.raises(ModelError, match=r"image_token_id is 151655, but the tokenizer's <\|image_pad\|> is"):
        load_processor(checkpoint)
