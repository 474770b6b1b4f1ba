import pytest

from texlens.data.geometry import ImageGeometry
from texlens.data.load import load_split
from texlens.data.validate.run import Options, validate


@pytest.fixture
def inspect_rows(shared_data):
    def perceptual_hash(subset: str):
        folder = str(shared_data / "LaTeX_OCR")
        splits = {name: load_split(folder, split=name, subset=subset) for name in ("train", "validation", "test")}
        return validate(splits, Options(ImageGeometry(16), render=False), processes=0)

    return perceptual_hash


def test_validation_and_test_of_small_are_its_first_30_train_rows(inspect_rows):
    results = inspect_rows("small")
    output = {str(overlap) for overlap in results.overlaps}
    assert "validation: all 30 rows are rows 0 to 29 of train" in output
    assert "test: all 30 rows are rows 0 to 29 of train" in output
    assert "validation: all 30 rows are rows 0 to 29 of test" in output
    assert results.counts == {"image-leak": 60, "label-leak": 60}


@pytest.mark.slow
def test_all_23_test_labels_of_human_handwrite_are_in_train(inspect_rows):
    results = inspect_rows("human_handwrite")
    test_in_train = next(o for o in results.overlaps if (o.of, o.inside) == ("test", "train"))
    assert (test_in_train.shared_labels, test_in_train.labels, test_in_train.label_rows) == (23, 23, 70)
