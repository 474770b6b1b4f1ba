"""Rows of a hybrid model's cache: states keep their size, keys and values are padded and cut."""

import torch

from tests.fixtures.tiny_models import tiny_model
from texlens.inference.decoding.cache_rows import concatenate_rows, new_cache, padded_rows, select_rows


def filled(tokens: int, rows: int, start: int = 0):
    model, _ = tiny_model("qwen3_5")
    text = model.model.language_model
    cache = new_cache(text.config)
    x = torch.randn(rows, tokens, text.config.hidden_size, generator=torch.Generator().manual_seed(start))
    with torch.no_grad():
        text(inputs_embeds=x, past_key_values=cache, use_cache=True)
    return cache


def test_joined_rows_keep_their_states_and_the_shorter_side_is_padded():
    cache, other = filled(5, 2), filled(3, 1, start=1)
    states = [cache.layers[0].recurrent_states[0].clone(), other.layers[0].recurrent_states[0].clone()]
    keys = other.layers[1].keys.clone()
    concatenate_rows(cache, other, 5)
    assert torch.equal(cache.layers[0].recurrent_states[0], torch.cat(states))
    assert cache.layers[0].conv_states[0].shape[0] == 3
    assert cache.layers[1].keys.shape[::2] == (3, 5)
    assert torch.equal(cache.layers[1].keys[2:, :, 2:], keys)
    assert not cache.layers[1].keys[2, :, :2].any()


def test_chosen_rows_lose_spare_padding_and_no_state():
    cache = filled(5, 3)
    states, values = cache.layers[0].recurrent_states[0].clone(), cache.layers[1].values.clone()
    select_rows(cache, torch.tensor([2, 0]), 1)
    assert torch.equal(cache.layers[0].recurrent_states[0], states[[2, 0]])
    assert torch.equal(cache.layers[1].values, values[[2, 0], :, 1:])


def test_plain_models_get_a_plain_cache():
    model, _ = tiny_model("qwen3_vl")
    assert not new_cache(model.config.text_config).layers


def test_rows_are_padded_on_the_left():
    assert padded_rows(torch.ones(1, 1), torch.ones(1, 2), 2, -1).tolist() == [[0, 1], [1, 1]]
