import pytest

from texlens.augment import FormulaTransform, PhotoTransform, build_transform
from texlens.config.load import build_config, dump_config
from texlens.core.errors import ConfigError


def augment(value):
    config = build_config({"model": {"path": "nano"}, "data": {"path": "demo", "augment": value}})
    return config.data.augment


@pytest.mark.parametrize("value", [None, "none"])
def test_none_changes_nothing(value):
    assert build_transform(augment(value)) is None


def test_a_name_stands_for_the_transform_with_its_defaults():
    assert build_transform(augment("formula")) == FormulaTransform()
    assert build_transform(augment("photo")) == PhotoTransform()


def test_a_mapping_sets_strengths():
    settings = augment({"kind": "formula", "rotate_degrees": 0, "noise": 20})
    assert build_transform(settings) == FormulaTransform(rotate_degrees=0, noise=20)


@pytest.mark.parametrize(
    ("value", "output"),
    [
        ({"kind": "formula", "flip": 0.5}, "'data.augment': flip mirrors a formula, which is no longer what its label"),
        ({"scale": 0.1}, "'data.augment': choose none, formula or photo, or give a mapping with kind"),
        ("strong", "choose none, formula or photo"),
        ({"kind": "photo", "crp": 0.1}, "unknown key 'data.augment.crp'; did you mean 'data.augment.crop'"),
        ({"kind": "formula", "scale": 3}, "'data.augment.scale': input should be less than or equal to 0.5"),
    ],
)
def test_what_can_not_be_is_reported_with_its_reason(value, output):
    with pytest.raises(ConfigError, match=output):
        augment(value)


def test_the_run_folder_keeps_the_strengths():
    config = build_config({"model": {"path": "nano"}, "data": {"path": "demo", "augment": "formula"}})
    assert "blur_px: 0.7" in dump_config(config)
