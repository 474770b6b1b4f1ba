"""From settings to a transform."""

from texlens.augment.build import build_transform
from texlens.augment.formula import FormulaTransform
from texlens.augment.photo import PhotoTransform
from texlens.config.augment import FormulaAugment, PhotoAugment


def test_settings_choose_the_transform_and_its_strengths():
    assert build_transform(None) is None
    assert build_transform(FormulaAugment()) == FormulaTransform(**FormulaAugment().model_dump(exclude={"kind"}))
    assert isinstance(build_transform(PhotoAugment()), PhotoTransform)
    assert build_transform(FormulaAugment(probability=0.25)).probability == 0.25
