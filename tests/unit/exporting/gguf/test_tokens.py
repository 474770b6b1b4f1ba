from types import SimpleNamespace

import pytest

from tests.fixtures.tiny_models import tiny_processor
from tests.unit.exporting.gguf.gguf_files import gguf
from texlens.exporting.gguf.tokens import add_tokens, looks_special


class RecordedWriter:
    """Records what `gguf.GGUFWriter` would write."""

    def __init__(self):
        self.values = {}

    def __getattr__(self, name):
        return lambda value: self.values.__setitem__(name.removeprefix("add_"), value)


def written(vocabulary_margin: int = 0, bos_token_id: int | None = None) -> SimpleNamespace:
    processor, writer = tiny_processor(), RecordedWriter()
    size = max(processor.tokenizer.get_vocab().values()) + 1
    add_tokens(writer, processor, size + vocabulary_margin, bos_token_id, "qwen2")
    return SimpleNamespace(**writer.values)


def test_every_row_of_the_embedding_has_a_token_and_a_type():
    values = written(vocabulary_margin=2)
    assert len(values.token_list) == len(values.token_types)
    assert values.token_types[-2:] == [gguf.TokenType.UNUSED] * 2
    assert values.token_list[-1] == f"[PAD{len(values.token_list) - 1}]"


def test_special_tokens_are_control_tokens():
    values, processor = written(), tiny_processor()
    for token in ("<|im_end|>", "<|image_pad|>", "<|vision_start|>"):
        number = processor.tokenizer.get_vocab()[token]
        assert values.token_list[number] == token
        assert values.token_types[number] == gguf.TokenType.CONTROL


@pytest.mark.parametrize(("token", "expected"), [("<|fim_prefix|>", True), ("<|repo_name|>", True), ("<tool>", False)])
def test_tokens_of_the_form_of_special_ones_count_as_special(token, expected):
    assert looks_special(token) is expected


def test_the_end_token_is_that_of_a_turn_and_no_token_is_put_before_a_prompt():
    values, processor = written(), tiny_processor()
    assert values.eos_token_id == processor.end_token_id
    assert values.pad_token_id == processor.pad_token_id
    assert values.add_bos_token is False
    assert not hasattr(values, "bos_token_id")


def test_a_bos_token_of_the_config_is_named():
    assert written(bos_token_id=3).bos_token_id == 3
