import pytest

from texlens.inference.defaults import MAX_NEW_TOKENS, default_max_new_tokens


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"text_config": {"max_position_embeddings": 2048}}, 2048),
        ({"text_config": {"max_position_embeddings": 262_144}}, MAX_NEW_TOKENS),
        ({"max_position_embeddings": 4096}, 4096),
        ({}, MAX_NEW_TOKENS),
        ({"text_config": {"max_position_embeddings": "many"}}, MAX_NEW_TOKENS),
        ({"max_position_embeddings": -1}, MAX_NEW_TOKENS),
    ],
)
def test_limit_is_what_the_model_can_hold(config, expected):
    assert default_max_new_tokens(config) == expected
