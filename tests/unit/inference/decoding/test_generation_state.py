from tests.fixtures.tiny_tokenizer import tiny_tokenizer
from texlens.inference.decoding.detokenize import IncrementalDetokenizer, TokenBytes
from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.decoding.sampling import Sampling

TOKENIZER = tiny_tokenizer()
END = frozenset({999})


def ids(text: str) -> list[int]:
    return TOKENIZER(text, add_special_tokens=False)["input_ids"]


def state(limit=10, stop=(), **sampling) -> GenerationState:
    detokenizer = IncrementalDetokenizer(TokenBytes(TOKENIZER), stop)
    return GenerationState(Sampling(limit, **sampling), detokenizer=detokenizer)


def test_row_ends_at_the_limit():
    row = state(limit=2)
    row.append_token(1, -0.5, END)
    assert row.is_active
    row.append_token(2, -0.25, END)
    assert (row.is_active, row.stop, row.log_probability) == (False, "length", -0.75)


def test_row_ends_with_its_end_token():
    row = state()
    row.append_token(999, -0.1, END)
    assert (row.is_active, row.stop, row.tokens) == (False, "end", [999])


def test_row_ends_where_it_is_no_more_probable_than_it_must_be():
    row = state()
    row.least_log_probability = -1.0
    row.append_token(1, -0.5, END)
    assert row.is_active
    row.append_token(2, -0.5, END)
    assert (row.is_active, row.stop) == (False, "length")


def test_row_ends_at_a_stop_string():
    row = state(stop=["b"])
    for token in ids("ab"):
        row.append_token(token, 0.0, END)
    assert (row.is_active, row.stop, row.detokenizer.text) == (False, "stop", "a")


def test_repeating_row_ends_where_the_guard_is_on():
    for guard, length in ((True, 48), (False, 60)):
        row = state(limit=60, repetition_guard=guard)
        while row.is_active:
            row.append_token(5, 0.0, END)
        assert (row.stop, len(row.tokens)) == ("loop" if guard else "length", length)


def test_held_back_text_belongs_to_the_last_token():
    row = state(limit=2, stop=["bc"])
    for token in ids("ab"):
        row.append_token(token, 0.0, END)
    assert row.token_texts == ["a", "b"]


def test_each_token_is_reported_once():
    row = state()
    row.append_token(1, 0.0, END)
    assert list(row.unreported_tokens()) == [0]
    row.append_token(2, 0.0, END)
    row.append_token(3, 0.0, END)
    assert list(row.unreported_tokens()) == [1, 2]
    assert list(row.unreported_tokens()) == []


def test_failed_row_has_a_reason():
    row = state()
    row.fail("NaN")
    assert (row.is_active, row.stop, row.error) == (False, "failed", "NaN")
