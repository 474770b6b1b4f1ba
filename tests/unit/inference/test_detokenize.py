from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.tiny_tokenizer import tiny_tokenizer
from texlens.inference.detokenize import TextStream, TokenPieces

TOKENIZER = tiny_tokenizer()
PIECES = TokenPieces(TOKENIZER)


def ids(text: str) -> list[int]:
    return TOKENIZER(text, add_special_tokens=False)["input_ids"]


@given(st.lists(st.integers(0, len(TOKENIZER) - 1), max_size=30))
def test_pieces_put_together_are_what_the_tokenizer_decodes(tokens):
    stream = TextStream(PIECES)
    shown = "".join([*map(stream.push, tokens), stream.finish()])

    decoded = TOKENIZER.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert shown == stream.text == decoded
    assert "".join(stream.spelt) == decoded


def test_a_character_of_several_tokens_comes_with_the_last_of_them():
    stream = TextStream(PIECES)

    assert [stream.push(token) for token in ids("é中")] == ["", "é", "", "", "中"]


def test_a_text_that_may_become_a_stop_string_is_held_back():
    stream = TextStream(PIECES, ["END", "E!"])

    assert [stream.push(token) for token in ids("aENb")] == ["a", "", "", "ENb"]
    assert [stream.push(token) for token in ids("cEND")] == ["c", "", "", ""]
    assert stream.stopped
    assert stream.push(ids("x")[0]) + stream.finish() == ""
    assert stream.text == "aENbc"


def test_what_was_held_back_comes_at_the_end():
    stream = TextStream(PIECES, ["END"])

    assert [stream.push(token) for token in ids("xEN")] == ["x", "", ""]
    assert stream.finish() == "EN"
