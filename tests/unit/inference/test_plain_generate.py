import json

import pytest

from tests.fixtures.drawn_images import drawn
from tests.fixtures.tiny_models import write_tiny_checkpoint
from texlens.core.errors import ModelError
from texlens.data.sample import LazyImage, Sample
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.open import open_model
from texlens.inference.plain_generate import plain_generate

GREEDY = {"do_sample": False, "temperature": 0.0, "max_new_tokens": 6}


def sample(row: int) -> Sample:
    return Sample(str(row), LazyImage.from_bytes(drawn(120, 40 + row, seed=row), f"row {row}"), "x")


def write_settings(folder, settings: dict) -> None:
    path = folder / "generation_config.json"
    tokens = {key: value for key, value in json.loads(path.read_text()).items() if key.endswith("_token_id")}
    path.write_text(json.dumps({**tokens, **settings}))


def test_greedy_settings_give_the_texts_of_our_decoder(tmp_path):
    folder = write_tiny_checkpoint(tmp_path)
    write_settings(folder, GREEDY)
    samples, model = [sample(0), sample(1)], open_model(folder)

    texts = plain_generate(model, folder, samples)

    sampling = Sampling(6, repetition_guard=False)
    assert texts == [prediction.text for prediction in model.read(samples, sampling=sampling)]


def test_the_folder_s_own_settings_are_used(tmp_path):
    folder = write_tiny_checkpoint(tmp_path)
    write_settings(folder, {**GREEDY, "max_new_tokens": 1})
    short = plain_generate(open_model(folder), folder, [sample(0)])
    write_settings(folder, GREEDY)
    long = plain_generate(open_model(folder), folder, [sample(0)])
    assert len(short[0]) < len(long[0])


def test_an_unreadable_image_has_no_text(tmp_path):
    folder = write_tiny_checkpoint(tmp_path)
    write_settings(folder, GREEDY)
    damaged = Sample("1", LazyImage.from_bytes(b"not an image", "row 1"), "x")
    assert plain_generate(open_model(folder), folder, [damaged]) == [None]


def test_a_folder_without_generation_config_is_refused(tmp_path):
    folder = write_tiny_checkpoint(tmp_path)
    model = open_model(folder)
    (folder / "generation_config.json").unlink()
    with pytest.raises(ModelError, match=r"generation_config\.json can't be read"):
        plain_generate(model, folder, [sample(0)])
