import dataclasses

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.fixtures.drawn_images import drawn
from tests.fixtures.tiny_models import tiny_model
from texlens.core.errors import ConfigError, DataError
from texlens.data.sample import LazyImage, Sample, Turn
from texlens.inference.generate import generate, in_order

ASKED = {"question": "Read this.", "system": None, "max_new_tokens": 8}


def test_every_row_comes_back_once_whatever_the_batches(samples):
    model, processor = tiny_model()
    in_threes = in_order(generate(model, processor, samples, batch_size=3, **ASKED), samples)
    alone = in_order(generate(model, processor, samples, batch_size=1, **ASKED), samples)

    assert [row.id for row in in_threes] == ["0", "1", "2", "3"]
    assert [row.reference for row in in_threes] == ["truth 0", "truth 1", "truth 2", "truth 3"]
    assert [row.text for row in in_threes] == [row.text for row in alone]
    assert all(row.log_probability < 0 for row in in_threes)


def test_an_unreadable_image_comes_back_as_failed_with_the_reason(samples):
    model, processor = tiny_model()
    truncated = Sample("cut", LazyImage.from_bytes(drawn(90, 60)[:200], "row 7 (cut.png)"), "x", domain="hand")
    no_image = Sample("text", LazyImage.from_bytes(b"hello", "row 8"), "y")
    too_long = Sample("long", LazyImage.from_bytes(drawn(2100, 10), "row 9"), "z")

    rows = {row.id: row for row in generate(model, processor, [truncated, *samples, no_image, too_long], **ASKED)}

    assert [rows[name].stop for name in ("cut", "text", "long")] == ["failed"] * 3
    assert "row 7 (cut.png)" in rows["cut"].error
    assert rows["cut"].domain == "hand"
    assert "row 8" in rows["text"].error
    assert rows["long"].error.startswith("row 9: 2100x10 pixels: the long side is over 200 times the short one")
    assert rows["0"].stop != "failed"
    assert len(rows) == 7


def test_the_image_is_looked_at():
    model, processor = tiny_model()
    two = [Sample(str(seed), LazyImage.from_bytes(drawn(128, 64, seed)), "") for seed in (1, 2)]

    first, second = in_order(generate(model, processor, two, **ASKED), two)

    assert first.text != second.text


def test_a_sample_may_bring_its_own_question(samples):
    model, processor = tiny_model()
    own = [dataclasses.replace(samples[0], id="own", prompt="Describe the picture in one word, please."), samples[0]]

    with_own, with_common = in_order(generate(model, processor, own, **ASKED), own)

    assert with_own.log_probability != with_common.log_probability


def test_rows_of_several_images_and_turns_are_read_beside_plain_ones(samples):
    model, processor = tiny_model()
    first, second = (LazyImage.from_bytes(drawn(128, 64, seed)) for seed in (1, 2))
    history = (Turn("user", "What is <image>?"), Turn("assistant", "a sum"))
    talk = Sample("talk", first, "", prompt="And <image>?", more_images=(second,), history=history)
    swapped = dataclasses.replace(talk, id="swapped", image=second, more_images=(first,))

    rows = [samples[0], talk, samples[1], swapped]
    together = in_order(generate(model, processor, rows, batch_size=4, **ASKED), rows)
    alone = in_order(generate(model, processor, rows, batch_size=1, **ASKED), rows)

    assert [row.text for row in together] == [row.text for row in alone]
    assert together[1].log_probability != together[3].log_probability


def test_progress_is_told_after_each_batch(samples):
    model, processor = tiny_model()
    told = []
    list(generate(model, processor, samples, batch_size=3, on_progress=lambda *done: told.append(done), **ASKED))

    assert told == [(3, 4), (4, 4)]


def test_the_model_trains_on_after_generation(samples):
    model, processor = tiny_model()
    model.train()
    rows = generate(model, processor, samples, batch_size=2, **ASKED)
    next(rows)

    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    list(rows)
    assert torch.is_grad_enabled()


def test_sampled_text_repeats_with_its_seed(samples):
    model, processor = tiny_model()

    def texts(seed):
        rows = generate(model, processor, samples, do_sample=True, seed=seed, **ASKED)
        return [row.text for row in in_order(rows, samples)]

    assert texts(3) == texts(3)
    assert texts(3) != texts(4)


def test_an_empty_split_gives_no_rows():
    model, processor = tiny_model()

    assert list(generate(model, processor, [], **ASKED)) == []


def test_a_batch_of_nothing_is_refused(samples):
    model, processor = tiny_model()
    with pytest.raises(ConfigError, match="batch_size is 0"):
        next(generate(model, processor, samples, batch_size=0, **ASKED))


def test_a_question_that_cannot_be_asked_is_refused_before_any_row(samples):
    model, processor = tiny_model()
    with pytest.raises(DataError, match="the question holds the special token"):
        next(generate(model, processor, samples, question="Read <|image_pad|>"))


def test_a_rows_own_question_that_cannot_be_asked_fails_that_row(samples):
    model, processor = tiny_model()
    bad = dataclasses.replace(samples[0], id="bad", prompt="<|im_end|>")
    rows = in_order(generate(model, processor, [bad, samples[1]], **ASKED), [bad, samples[1]])

    assert [row.stop == "failed" for row in rows] == [True, False]
    assert rows[0].error.startswith("row 0: the question holds the special token <|im_end|>")


def test_a_model_with_a_fresh_adapter_says_what_its_base_says(samples):
    model, processor = tiny_model()
    base = in_order(generate(model, processor, samples, **ASKED), samples)
    adapted_model = get_peft_model(model, LoraConfig(target_modules=["q_proj", "v_proj"], r=4))
    adapted = in_order(generate(adapted_model, processor, samples, **ASKED), samples)

    assert [row.text for row in adapted] == [row.text for row in base]
