from collections.abc import Iterator

import pytest
from pydantic import BaseModel, ValidationError

from texlens.config.aliases import _models_in
from texlens.config.base import Settings
from texlens.config.run import RunConfig

MAX_FIELDS = 15


class Example(Settings):
    rank: int = 8
    """Of the matrices."""


def branches(settings: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield settings
    for field in settings.model_fields.values():
        for part in _models_in(field.annotation):
            yield from branches(part)


def test_settings_are_frozen_and_refuse_unknown_keys():
    with pytest.raises(ValidationError, match="frozen"):
        Example().rank = 9
    with pytest.raises(ValidationError, match="Extra inputs"):
        Example(rnk=9)


def test_docstring_under_a_field_is_its_help():
    assert Example.model_fields["rank"].description == "Of the matrices."


@pytest.mark.parametrize("settings", [*dict.fromkeys(branches(RunConfig))], ids=lambda settings: settings.__name__)
def test_every_branch_is_frozen_strict_and_small(settings):
    assert settings.model_config["frozen"]
    assert settings.model_config["extra"] == "forbid"
    assert len(settings.model_fields) <= MAX_FIELDS
