import pytest

from texlens.config.load import build_config
from texlens.data.load import load_split
from texlens.evaluation.train_overlap import TrainOverlap, train_overlap


@pytest.fixture
def folder(tmp_path, formula_rows):
    """Train: x^2, a+b, n!. Test: `a + b` drawn differently, the image of n! with another label, and a new row."""
    formula_rows(tmp_path, "train", {"a.png": ("x^2", "x^2"), "b.png": ("a+b", "a+b"), "c.png": ("n!", "n!")})
    formula_rows(tmp_path, "test", {"d.png": ("a b", "a + b"), "e.png": ("n!", "n ?"), "f.png": ("z", "z")})
    return tmp_path


def overlap(folder, path=None):
    config = build_config({"model": {"path": "nano"}, "data": {"path": str(path or folder)}})
    samples = list(load_split(str(folder), split="test"))
    return train_overlap(config, samples, len(samples))


def test_shared_labels_and_images_are_counted(folder):
    counts = overlap(folder)
    assert (counts.rows, counts.train_rows, counts.labels, counts.images, counts.either) == (3, 3, 1, 1, 2)
    assert counts.sentence() == "2 of 3 rows share an image or a label with train (1 an image, 1 a label)"


def test_train_that_can_not_be_read_is_no_claim(folder, tmp_path):
    counts = overlap(folder, tmp_path / "moved")
    assert counts.either is None
    assert counts.sentence().startswith("3 rows; not known whether they were trained on: ")


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        (TrainOverlap(621, 900, 0, 0, 0), "none of 621 rows shares an image or a label with train"),
        (
            TrainOverlap(30, 30, 30, 1, 30),
            "30 of 30 rows share an image or a label with train (1 an image, 30 a label)",
        ),
        (TrainOverlap(30, 30, 0, 1, 1), "1 of 30 rows shares an image or a label with train (1 an image, 0 a label)"),
    ],
)
def test_sentence_says_what_was_counted(counts, sentence):
    assert counts.sentence() == sentence


def test_counts_survive_json():
    counts = TrainOverlap(3, 3, 1, 1, 2)
    assert TrainOverlap.from_json(counts.to_json()) == counts
