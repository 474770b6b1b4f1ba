import inspect

import pytest
from peft import LoraConfig, get_peft_model

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from texlens.models.cache_argument import cache_argument


class OldModel:
    def forward(self, input_ids, past_key_values=None):
        """As before transformers 5.24."""


class NewModel:
    def forward(self, input_ids, cache=None):
        """As in transformers 5.24."""


def test_the_name_is_that_of_the_installed_version():
    assert cache_argument(OldModel()) == "past_key_values"
    assert cache_argument(NewModel()) == "cache"


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_every_family_takes_the_argument(family):
    model, _ = tiny_model(family)
    assert cache_argument(model) in inspect.signature(type(model).forward).parameters


def test_an_adapted_model_is_asked_through_peft():
    model, _ = tiny_model()
    expected = cache_argument(model)
    assert cache_argument(get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"]))) == expected
