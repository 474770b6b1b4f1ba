"""The loop over a decoder that spells a given answer."""

import torch

from tests.fixtures.tiny_models import tiny_processor
from texlens.core.errors import DataError
from texlens.data.sample import LazyImage, Sample
from texlens.inference.backends.row_by_row import RowByRowBackend
from texlens.inference.decoding.sampling import Sampling
from texlens.inputs.chat_template import PromptStyle

PROCESSOR = tiny_processor("qwen3_vl")
STYLE = PromptStyle("Read.")


class Speller:
    """Logits that favor the tokens of a text in turn, then the end of the turn."""

    def __init__(self, text: str, context: int = 1000):
        self.tokens = [*PROCESSOR.tokenizer(text).input_ids, PROCESSOR.end_token_id]
        self.vocabulary_size, self.context = len(PROCESSOR.tokenizer), context
        self.place = 0

    @property
    def is_full(self) -> bool:
        return self.place >= self.context

    def prefill(self, sample, style):
        if sample.id == "bad":
            raise DataError("bad.png: damaged")
        self.place = 0
        return self.step(-1)

    def step(self, token):
        logits = torch.zeros(self.vocabulary_size)
        logits[self.tokens[self.place]] = 9
        self.place += 1
        return logits


def samples(*names: str) -> list[Sample]:
    return [Sample(name, LazyImage(lambda: b"", name), "x^2") for name in names]


def read(decoder, rows, limit: int = 50):
    backend = RowByRowBackend(decoder, PROCESSOR)
    return list(backend.generate(rows, STYLE, sampling=Sampling(limit), batch_size=4, seed=0, on_token=None))


def test_every_row_is_read_to_its_end():
    first, second = read(Speller("x^2"), samples("a", "b"))
    assert (first.id, first.text, first.stop) == ("a", "x^2", "end")
    assert (second.id, second.text, second.reference) == ("b", "x^2", "x^2")


def test_a_damaged_row_fails_alone():
    failed, good = read(Speller("x"), samples("bad", "good"))
    assert (failed.stop, failed.error) == ("failed", "bad.png: damaged")
    assert good.text == "x"


def test_token_limit_and_context_end_a_row():
    assert read(Speller("x^2+y^2"), samples("a"), limit=2)[0].stop == "length"
    assert read(Speller("x^2+y^2", context=2), samples("a"))[0].stop == "length"


def test_logits_after_prompts_are_rows_and_a_damaged_image_is_nan():
    logits = RowByRowBackend(Speller("x"), PROCESSOR).next_token_logits(samples("a", "bad"), STYLE)
    assert logits.shape == (2, len(PROCESSOR.tokenizer))
    assert not logits[0].isnan().any()
    assert logits[1].isnan().all()
