import pytest

from texlens.data.geometry import ImageGeometry
from texlens.data.load import load_split
from texlens.data.validate.run import Options, validate


@pytest.fixture
def looked_at(shared_data):
    def perceptual_hash(subset: str):
        folder = str(shared_data / "LaTeX_OCR")
        splits = {name: load_split(folder, split=name, subset=subset) for name in ("train", "validation", "test")}
        return validate(splits, Options(ImageGeometry(16), render=False), processes=0)

    return perceptual_hash


def test_validation_and_test_of_small_are_its_first_30_train_rows(looked_at):
    found = looked_at("small")
    said = {str(overlap) for overlap in found.overlaps}
    assert "validation: all 30 rows are rows 0 to 29 of train" in said
    assert "test: all 30 rows are rows 0 to 29 of train" in said
    assert "validation: all 30 rows are rows 0 to 29 of test" in said
    assert found.counts == {"image-leak": 60, "label-leak": 60}


@pytest.mark.slow
def test_all_23_test_labels_of_human_handwrite_stand_in_train(looked_at):
    found = looked_at("human_handwrite")
    test_in_train = next(o for o in found.overlaps if (o.of, o.inside) == ("test", "train"))
    assert (test_in_train.shared_labels, test_in_train.labels, test_in_train.label_rows) == (23, 23, 70)
