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


def test_an_image_token_left_out_of_the_config_must_be_the_default_that_the_model_takes(checkpoint):
    path = checkpoint / "config.json"
    config = json.loads(path.read_text())
    del config["image_token_id"]
    path.write_text(json.dumps(config))

    with pytest.raises(ModelError, match=r"config\.json: image_token_id is \d+, but the tokenizer's"):
        load_processor(checkpoint)


def test_tokenizer_files_are_copied_byte_for_byte(checkpoint, tmp_path):
    config = json.loads((checkpoint / "tokenizer_config.json").read_text())
    (checkpoint / "tokenizer_config.json").write_text(json.dumps(config, indent=7))
    save_processor(load_processor(checkpoint), tmp_path / "copy")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (tmp_path / "copy" / name).read_bytes() == (checkpoint / name).read_bytes()


def test_a_changed_tokenizer_is_saved_with_its_new_tokens(checkpoint, tmp_path):
    processor = load_processor(checkpoint)
    processor.tokenizer.add_tokens(["<extra>"])
    save_processor(processor, tmp_path / "copy")
    assert "<extra>" in AutoTokenizer.from_pretrained(tmp_path / "copy").get_vocab()


def test_a_new_tokenizer_is_saved_in_a_form_that_transformers_4_reads(tmp_path):
    processor = tiny_processor()
    save_processor(processor, tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert "extra_special_tokens" not in config
    special = AutoTokenizer.from_pretrained(tmp_path).all_special_tokens
    assert sorted(special) == sorted(processor.tokenizer.all_special_tokens)


def test_other_image_and_video_settings_of_the_checkpoint_are_preserved(checkpoint, tmp_path):
    videos = {"size": {"longest_edge": 7, "shortest_edge": 3}, "processor_class": "P", "fps": 2}
    (checkpoint / "video_preprocessor_config.json").write_text(json.dumps(videos))
    path = checkpoint / "preprocessor_config.json"
    images = {
        **json.loads(path.read_text()),
        "image_processor_type": "Qwen2VLImageProcessorFast",
        "disable_grouping": None,
    }
    path.write_text(json.dumps(images))

    save_processor(load_processor(checkpoint, max_pixels=20_480), tmp_path / "copy")

    assert json.loads((tmp_path / "copy/video_preprocessor_config.json").read_text()) == videos
    saved = json.loads((tmp_path / "copy/preprocessor_config.json").read_text())
    assert saved == {**images, "max_pixels": 20_480, "size": {**images["size"], "longest_edge": 20_480}}
