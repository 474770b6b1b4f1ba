"""Constrained decoding over tokens: a byte vocabulary, where every text is possible."""

import random
from pathlib import Path

import pyarrow.parquet as parquet

import texlens
from texlens.data.sample import LazyImage, Sample
from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.decoding.grammar import TokenGrammar
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.open import open_model
from texlens.latex.canonical.form import canonical_form

DEMO = Path(texlens.__file__).parent / "data" / "demo"
END = 0
GRAMMAR = TokenGrammar(lambda token: bytes([token]) if token else b"", lambda text: list(text.encode()), [END])


def decoded(likeliest, max_new_tokens):
    """The text of a row whose model prefers tokens in the order that `likeliest` gives."""
    row, text = GRAMMAR.row(max_new_tokens), b""
    while row.left:
        token = row.choose(likeliest(text))
        row.take(token)
        if token == END:
            break
        text += bytes([token])
    return text.decode()


def test_a_valid_reading_is_not_changed():
    preferred = rb"\frac{a}{b} + \left( x \right)"
    assert (
        decoded(lambda text: [preferred[len(text)] if len(text) < len(preferred) else END], 100) == preferred.decode()
    )


def test_the_end_is_refused_while_something_is_open():
    preferred = rb"\left( x"
    text = decoded(lambda text: [preferred[len(text)] if len(text) < len(preferred) else END], 100)
    assert text == r"\left( x\right."


def test_a_letter_is_not_glued_to_a_command():
    row = GRAMMAR.row(50)
    for token in rb"\alpha":
        assert row.accepts(token)
        row.take(token)
    assert not row.accepts(ord("b"))
    assert row.accepts(ord(" "))


def test_a_reading_is_closed_within_the_token_limit():
    nested = rb"\frac{\frac{\left( \sqrt{a"
    for limit in range(12, 60):
        text = decoded(lambda text: [nested[len(text) % len(nested)]], limit)
        assert len(text) <= limit
        assert canonical_form(text).problem is None


def test_random_preferences_always_give_a_formula():
    rng = random.Random(0)
    alphabet = [*b"abx12+-{}[]()^_&\\", *rb"\frac\left(\right)\begin{matrix}\end{matrix}", END]
    for _ in range(200):
        text = decoded(lambda _: rng.sample(alphabet, len(alphabet)), rng.randrange(4, 60))
        assert canonical_form(text).problem is None


def test_special_tokens_and_parts_of_a_character_are_refused():
    grammar = TokenGrammar(lambda token: [b"", b"\xe4\xb8", b"x"][token], lambda text: [2] * len(text), [9])
    row = grammar.row(10)
    assert [row.accepts(token) for token in (0, 1, 2, 9)] == [False, False, True, False]


def test_a_sampling_with_grammar_reads_nano_as_before_and_closes_at_the_limit():
    model = open_model("nano", backend="numpy")
    row = parquet.read_table(DEMO / "test-00000-of-00001.parquet").slice(0, 1).to_pylist()[0]
    sample = Sample("0", LazyImage.from_bytes(row["image"]["bytes"], "0"), row["text"])
    texts = {}
    for limit, grammar in ((256, False), (256, True), (9, True)):
        (prediction,) = model.generate([sample], sampling=Sampling(limit, grammar=grammar))
        texts[limit, grammar] = prediction.text
    assert texts[256, True] == texts[256, False]
    assert canonical_form(texts[9, True]).problem is None
    assert len(texts[9, True]) < len(texts[256, True])


def test_a_row_that_repeats_itself_is_closed_before_it_ends():
    state = GenerationState(Sampling(300, grammar=True), grammar=GRAMMAR.row(300))
    preferred = b"\\left( " + b"x, " * 60
    while state.is_active:
        token = preferred[len(state.tokens)] if len(state.tokens) < len(preferred) else END
        state.append_token(state.grammar.choose([token]), 0.0, frozenset([END]))
    assert state.stop == "loop"
    assert canonical_form(bytes(state.tokens).decode()).problem is None
