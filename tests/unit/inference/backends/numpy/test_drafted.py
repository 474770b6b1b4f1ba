"""A draft changes no token."""

from dataclasses import replace

import pytest

from tests.unit.inference.backends.numpy.nano import FORMULAS, samples_of
from texlens.data.sample import Rival
from texlens.inference.backends.numpy.drafted import DraftedLogits
from texlens.latex.render.formats import render_png


class Echo:
    """A decoder whose "logits" are the tokens that it has seen."""

    def __init__(self):
        self.tokens: list[int] = []
        self.passes = 0

    def extend(self, tokens):
        self.passes += 1
        rows = [(*self.tokens, *tokens[: number + 1]) for number in range(len(tokens))]
        self.tokens += tokens
        return rows

    def forget(self, count):
        del self.tokens[len(self.tokens) - count :]


@pytest.mark.parametrize(
    ("draft", "passes"),
    [((), 6), ((1, 2, 3, 4, 5, 6), 1), ((1, 2, 9, 4, 5, 6), 2), ((9, 2, 3), 4), ((1, 9, 9, 9, 9, 9), 6), ((7,) * 9, 6)],
)
def test_logits_follow_the_tokens_that_were_taken_whatever_was_drafted(draft, passes):
    decoder = Echo()
    logits = DraftedLogits(decoder, (), draft)
    for number in range(1, 7):
        logits.take(number)
        assert logits.logits == tuple(range(1, number + 1))
    assert decoder.passes == passes


def test_readings_are_those_without_a_draft(numpy_model):
    [sample] = samples_of([render_png(FORMULAS[0])])
    [plain] = numpy_model.read([sample])
    for text in (plain.text, plain.text.replace("2", "3"), "\\alpha " * 40, ""):
        [drafted] = numpy_model.read([replace(sample, rival=Rival(text, -1e9))])
        assert (drafted.text, drafted.stop, drafted.tokens) == (plain.text, plain.stop, plain.tokens)
        assert drafted.log_probability == pytest.approx(plain.log_probability, abs=1e-3)
