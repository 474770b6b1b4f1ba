"""Labels in one text file, as HME100K, CROHME's standard images and UniMER are distributed."""

import pytest

from tests.unit.data.pictures import png
from texlens.data.load import load_split
from texlens.data.readers.registry import find_format, list_splits


def write(folder, images, labels, text):
    images, labels = folder / images, folder / labels
    images.mkdir(parents=True)
    labels.parent.mkdir(parents=True, exist_ok=True)
    labels.write_text(text, encoding="utf-8")
    return images


def images(folder, *names):
    for width, name in enumerate(names, 20):
        (folder / name).write_bytes(png(width, 10))


def rows(path, split):
    return [(row.id, row.text, row.image.size[0]) for row in load_split(str(path), split=split)]


def test_hme100k_names_its_images(tmp_path):
    for split in ("train", "test"):
        home = write(tmp_path, f"{split}/{split}_images", f"{split}/{split}_labels.txt", "b.jpg\tx ^ 2\na.jpg\ty\n")
        images(home, "a.jpg", "b.jpg")
    assert find_format(tmp_path).name == "labels"
    assert sorted(list_splits(str(tmp_path))) == ["test", "train"]
    assert rows(tmp_path, "test") == [("b", "x ^ 2", 21), ("a", "y", 20)]


def test_crohme_leaves_out_suffixes_and_splits_by_year(tmp_path):
    for year in ("train", "2014"):
        images(write(tmp_path, f"{year}/img", f"{year}/caption.txt", "18_em_0\tx ^ 2\n"), "18_em_0.bmp")
    assert sorted(list_splits(str(tmp_path))) == ["2014", "train"]
    assert rows(tmp_path, "2014") == [("18_em_0", "x ^ 2", 20)]


def test_unimer_test_numbers_its_lines(tmp_path):
    for part in ("spe", "hwe"):
        images(write(tmp_path, part, f"{part}.txt", "x + y\n\\frac { 1 } { 2 }\n"), "0000001.png", "0000000.png")
    assert sorted(list_splits(str(tmp_path))) == ["hwe", "spe"]
    assert rows(tmp_path, "spe") == [("0000000", "x + y", 21), ("0000001", "\\frac { 1 } { 2 }", 20)]


def test_unimer_1m_is_one_list_beside_images(tmp_path):
    images(write(tmp_path, "images", "train.txt", "x\n"), "0000000.png")
    assert rows(tmp_path, "train") == [("0000000", "x", 20)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a.png\tx\nmissing.png\ty\n", "line 2: no image of the name 'missing.png'; add it or remove the line"),
        ("x\ny\n", "line 2: 1 images for more lines; add the image or remove the line"),
    ],
)
def test_a_line_without_an_image_is_a_rejected_row(tmp_path, text, reason):
    images(write(tmp_path, "spe", "spe.txt", text), "a.png")
    loaded = load_split(str(tmp_path), split="spe")
    assert len(loaded) == 1
    assert [str(row).endswith(reason) for row in loaded.rejected] == [True]


def test_an_image_without_a_line_is_a_rejected_row(tmp_path):
    images(write(tmp_path, "spe", "spe.txt", "x\n"), "a.png", "b.png")
    assert ["no line for it in spe.txt" in str(row) for row in load_split(str(tmp_path), split="spe").rejected] == [
        True
    ]
