import pytest
from pydantic import ValidationError

from texlens.config.load import build_config, dump_config
from texlens.config.run import SCHEMA_VERSION, RunConfig
from texlens.core.errors import ConfigError

MINIMAL = {"model": {"path": "nano"}, "data": {"path": "demo"}}


def test_adapter_without_a_kind_is_lora():
    assert RunConfig(**MINIMAL, adapter={"rank": 4}).adapter.kind == "lora"


@pytest.mark.parametrize("name", ["../up", "", ".hidden", "a/b", "a b"])
def test_names_that_are_no_folder_name_are_refused(name):
    with pytest.raises(ValidationError):
        RunConfig(**MINIMAL, name=name)


def test_schema_version_is_written_and_a_newer_one_refused():
    assert f"schema_version: {SCHEMA_VERSION}" in dump_config(build_config(MINIMAL))
    with pytest.raises(
        ConfigError, match=r"written by a newer TexLens \(schema 3, this one reads 2\); upgrade texlens"
    ):
        build_config({**MINIMAL, "schema_version": 3})


def test_old_schema_version_becomes_this_one():
    assert build_config({**MINIMAL, "schema_version": 1}).schema_version == SCHEMA_VERSION


def test_features_of_changing_images_are_not_cached():
    with pytest.raises(ValidationError, match=r"cache_features: on can't be used with data\.augment"):
        RunConfig(model={"path": "nano"}, data={"path": "demo", "augment": "formula"}, train={"cache_features": "on"})
