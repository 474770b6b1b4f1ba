import sys

from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.tiny_tokenizer import tiny_tokenizer
from texlens.inference.decoding.detokenize import IncrementalDetokenizer, TokenBytes

TOKENIZER = tiny_tokenizer()
TOKEN_BYTES = TokenBytes(TOKENIZER)


def ids(text: str) -> list[int]:
    return TOKENIZER(text, add_special_tokens=False)["input_ids"]


@given(st.lists(st.integers(0, len(TOKENIZER) - 1), max_size=30))
def test_joined_texts_equal_what_the_tokenizer_decodes(tokens):
    detokenizer = IncrementalDetokenizer(TOKEN_BYTES)
    emitted = "".join([*map(detokenizer.push, tokens), detokenizer.finish()])

    decoded = TOKENIZER.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert emitted == detokenizer.text == decoded
    assert "".join(detokenizer.token_texts) == decoded


def test_character_of_several_tokens_is_emitted_with_its_last_token():
    detokenizer = IncrementalDetokenizer(TOKEN_BYTES)

    assert [detokenizer.push(token) for token in ids("é中")] == ["", "é", "", "", "中"]


def test_text_that_may_begin_a_stop_string_is_held_back():
    detokenizer = IncrementalDetokenizer(TOKEN_BYTES, ["END", "E!"])

    assert [detokenizer.push(token) for token in ids("aENb")] == ["a", "", "", "ENb"]
    assert [detokenizer.push(token) for token in ids("cEND")] == ["c", "", "", ""]
    assert detokenizer.stopped
    assert detokenizer.push(ids("x")[0]) + detokenizer.finish() == ""
    assert detokenizer.text == "aENbc"


def test_held_back_text_is_emitted_at_the_end():
    detokenizer = IncrementalDetokenizer(TOKEN_BYTES, ["END"])

    assert [detokenizer.push(token) for token in ids("xEN")] == ["x", "", ""]
    assert detokenizer.finish() == "EN"


@given(st.text("ab", max_size=40), st.lists(st.text("ab", min_size=1, max_size=6), min_size=1, max_size=3))
def test_text_ends_before_the_first_completed_stop_string(text, stop):
    detokenizer = IncrementalDetokenizer(TOKEN_BYTES, stop)
    emitted = "".join([*map(detokenizer.push, ids(text)), detokenizer.finish()])

    ends = [text.find(string) + len(string) for string in stop if string in text]
    expected = text
    if ends:
        completed = text[: min(ends)]
        expected = completed[: min(completed.find(string) for string in stop if completed.endswith(string))]
    assert emitted == detokenizer.text == expected
    assert detokenizer.stopped == bool(ends)


def test_cost_of_a_token_does_not_grow_with_the_stop_string():
    def steps(length: int) -> int:
        detokenizer = IncrementalDetokenizer(TOKEN_BYTES, ["a" * length])
        calls = 0

        def count(frame, event, argument):
            nonlocal calls
            calls += 1
            return count

        tokens = ids("ab" * 20)
        sys.settrace(count)
        try:
            for token in tokens:
                detokenizer.push(token)
        finally:
            sys.settrace(None)
        return calls

    assert steps(100_000) <= steps(100) + 5
