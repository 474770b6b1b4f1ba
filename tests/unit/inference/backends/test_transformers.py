import dataclasses

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.fixtures.drawn_images import drawn
from tests.fixtures.tiny_models import tiny_model
from texlens.core.errors import ConfigError, DataError
from texlens.data.sample import LazyImage, Sample, Turn
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.model import in_order
from texlens.inference.open import wrap_model


def generate(model, processor, samples, prompt="Read this.", **options):
    return wrap_model(model, processor, prompt=prompt, max_new_tokens=8).generate(samples, **options)


def test_every_row_is_predicted_once_for_every_batch_size(samples):
    model, processor = tiny_model()
    in_threes = in_order(generate(model, processor, samples, batch_size=3), samples)
    single = in_order(generate(model, processor, samples, batch_size=1), samples)

    assert [row.id for row in in_threes] == ["0", "1", "2", "3"]
    assert [row.reference for row in in_threes] == ["truth 0", "truth 1", "truth 2", "truth 3"]
    assert [row.text for row in in_threes] == [row.text for row in single]
    assert all(row.log_probability < 0 for row in in_threes)


def test_unreadable_image_gives_a_failed_prediction_with_the_reason(samples):
    model, processor = tiny_model()
    truncated = Sample("cut", LazyImage.from_bytes(drawn(90, 60)[:200], "row 7 (cut.png)"), "x", domain="hand")
    no_image = Sample("text", LazyImage.from_bytes(b"hello", "row 8"), "y")
    too_long = Sample("long", LazyImage.from_bytes(drawn(2100, 10), "row 9"), "z")

    rows = {row.id: row for row in generate(model, processor, [truncated, *samples, no_image, too_long])}

    assert [rows[name].stop for name in ("cut", "text", "long")] == ["failed"] * 3
    assert "row 7 (cut.png)" in rows["cut"].error
    assert rows["cut"].domain == "hand"
    assert "row 8" in rows["text"].error
    assert rows["long"].error.startswith("row 9: 2100x10 pixels: the long side is over 200 times the short one")
    assert rows["0"].stop != "failed"
    assert len(rows) == 7


def test_text_depends_on_the_image():
    model, processor = tiny_model()
    two = [Sample(str(seed), LazyImage.from_bytes(drawn(128, 64, seed)), "") for seed in (1, 2)]

    first, second = in_order(generate(model, processor, two), two)

    assert first.text != second.text


def test_sample_may_have_its_own_prompt(samples):
    model, processor = tiny_model()
    rows = [dataclasses.replace(samples[0], id="own", prompt="Describe the picture in one word, please."), samples[0]]

    override, common = in_order(generate(model, processor, rows), rows)

    assert override.log_probability != common.log_probability


def test_rows_of_several_images_and_turns_are_read_in_one_batch_with_plain_ones(samples):
    model, processor = tiny_model()
    first, second = (LazyImage.from_bytes(drawn(128, 64, seed)) for seed in (1, 2))
    history = (Turn("user", "What is <image>?"), Turn("assistant", "a sum"))
    talk = Sample("talk", first, "", prompt="And <image>?", more_images=(second,), history=history)
    swapped = dataclasses.replace(talk, id="swapped", image=second, more_images=(first,))

    rows = [samples[0], talk, samples[1], swapped]
    together = in_order(generate(model, processor, rows, batch_size=4), rows)
    single = in_order(generate(model, processor, rows, batch_size=1), rows)

    assert [row.text for row in together] == [row.text for row in single]
    assert together[1].log_probability != together[3].log_probability


def test_model_is_still_in_training_mode_after_generation(samples):
    model, processor = tiny_model()
    model.train()
    rows = generate(model, processor, samples, batch_size=2)
    next(rows)

    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    list(rows)
    assert torch.is_grad_enabled()


def test_sampled_text_repeats_with_its_seed(samples):
    model, processor = tiny_model()

    def texts(seed):
        rows = generate(model, processor, samples, sampling=Sampling(8, 1.0), seed=seed)
        return [row.text for row in in_order(rows, samples)]

    assert texts(3) == texts(3)
    assert texts(3) != texts(4)


def test_an_empty_split_gives_no_rows():
    model, processor = tiny_model()

    assert list(generate(model, processor, [])) == []


def test_batch_size_zero_is_refused(samples):
    model, processor = tiny_model()
    with pytest.raises(ConfigError, match="batch_size is 0"):
        next(generate(model, processor, samples, batch_size=0))


def test_prompt_with_a_special_token_is_refused_before_any_row(samples):
    model, processor = tiny_model()
    with pytest.raises(DataError, match="the prompt holds the special token"):
        next(generate(model, processor, samples, prompt="Read <|image_pad|>"))


def test_row_whose_prompt_has_a_special_token_fails_alone(samples):
    model, processor = tiny_model()
    bad = dataclasses.replace(samples[0], id="bad", prompt="<|im_end|>")
    rows = in_order(generate(model, processor, [bad, samples[1]]), [bad, samples[1]])

    assert [row.stop == "failed" for row in rows] == [True, False]
    assert rows[0].error.startswith("row 0: the prompt holds the special token <|im_end|>")


def test_model_with_a_new_adapter_gives_the_texts_of_its_base(samples):
    model, processor = tiny_model()
    base = in_order(generate(model, processor, samples), samples)
    adapted_model = get_peft_model(model, LoraConfig(target_modules=["q_proj", "v_proj"], r=4))
    adapted = in_order(generate(adapted_model, processor, samples), samples)

    assert [row.text for row in adapted] == [row.text for row in base]
