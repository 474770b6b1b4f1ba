import base64

from tests.fixtures.tiny_models import tiny_processor
from texlens.exporting.decoding import Decoding
from texlens.exporting.onnx.reader_settings import reader_settings
from texlens.inputs.chat_template import prompt_ids


def test_the_prompt_is_split_at_the_image():
    processor = tiny_processor("qwen3_vl")
    settings = reader_settings("Read this.", None, processor, Decoding(8))
    image = [settings["image_token"]] * 3
    expected = prompt_ids(processor.tokenizer, prompt="Read this.", image_tokens=3)
    assert settings["before_image"] + image + settings["after_image"] == expected
    assert settings["max_new_tokens"] == 8
    assert processor.end_token_id in settings["end_tokens"]


def test_the_bytes_of_tokens_spell_a_text():
    processor = tiny_processor("qwen3_vl")
    settings = reader_settings("Read this.", None, processor, Decoding(8))
    ids = processor.tokenizer(r"\frac{ä}{b}").input_ids
    assert b"".join(base64.b64decode(settings["token_bytes"][token]) for token in ids).decode() == r"\frac{ä}{b}"
    assert settings["token_bytes"][processor.end_token_id] == ""
