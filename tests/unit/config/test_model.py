import pytest
from pydantic import ValidationError

from texlens.config.model import ModelSettings


def test_pixel_budget_is_a_range():
    with pytest.raises(ValidationError, match="min_pixels 200 is over max_pixels 100; swap them"):
        ModelSettings(path="nano", min_pixels=200, max_pixels=100)
    assert ModelSettings(path="nano", min_pixels=100, max_pixels=200).max_pixels == 200


def test_code_of_a_checkpoint_is_not_run_by_default():
    assert ModelSettings(path="nano").trust_remote_code is False
