import pytest
from pydantic import ValidationError

from texlens.config.augment import PhotoAugment
from texlens.config.data import DataSettings


def test_splits_are_names_shares_or_none():
    splits = DataSettings(path="x", splits={"validation": 0.1, "test": None}).splits
    assert (splits.train, splits.validation, splits.test) == ("train", 0.1, None)


@pytest.mark.parametrize("values", [{"fraction": 0}, {"fraction": 1.1}, {"limit": 0}, {"splits": {"test": 1.0}}])
def test_impossible_shares_are_refused(values):
    with pytest.raises(ValidationError):
        DataSettings(path="x", **values)


def test_augmentation_is_named_or_given():
    assert DataSettings(path="x", augment="photo").augment == PhotoAugment(kind="photo")
    assert DataSettings(path="x", augment="none").augment is None
