import os
import shutil

import pytest

from tests.unit.data.pictures import png
from texlens.data.fingerprint import FileHashes, rows_fingerprint, sample_fingerprint
from texlens.data.lazy_image import LazyImage
from texlens.data.load import load_split
from texlens.data.sample import Question, Sample, Turn

A = LazyImage.from_bytes(png(seed=1))
ROW = {"image": A, "text": "x", "prompt": "Read", "system": "S", "domain": "print", "more_answers": ("y",)}


@pytest.mark.parametrize(
    "change",
    [
        {"image": LazyImage.from_bytes(png(seed=2))},
        {"image": LazyImage(A.read, "image", max_pixels=64)},
        {"more_images": (A,)},
        {"text": "z"},
        {"more_answers": ()},
        {"prompt": "Count the cats."},
        {"prompt": None},
        {"system": ""},
        {"domain": "hand"},
        {"history": (Turn("user", "a"), Turn("assistant", "b"))},
        {"extra": {"level": 3}},
        {"more_questions": (Question("Count", "1"),)},
    ],
)
def test_every_field_that_matters_changes_the_fingerprint(change):
    assert sample_fingerprint(Sample("7", **ROW | change)) != sample_fingerprint(Sample("7", **ROW))


def test_an_excluded_answer_changes_the_fingerprint():
    first, second = (
        Sample("7", **ROW, history=(Turn("user", "a"), Turn("assistant", "b", is_trained=flag)))
        for flag in (True, False)
    )
    assert sample_fingerprint(first) != sample_fingerprint(second)


def test_the_place_of_an_image_and_its_reader_do_not_matter(tmp_path):
    (tmp_path / "a.png").write_bytes(png(seed=1))
    in_file = Sample("7", **ROW | {"image": LazyImage.from_file(tmp_path / "a.png")})
    assert sample_fingerprint(in_file) == sample_fingerprint(Sample("7", **ROW))


def test_a_swapped_image_a_missing_one_and_one_that_came_later_are_noticed(tmp_path):
    (tmp_path / "rows.csv").write_text("image,text\na.png,x\nb.png,y\n")
    (tmp_path / "a.png").write_bytes(png(seed=1))
    fingerprints = [load_split(tmp_path / "rows.csv").fingerprint]
    (tmp_path / "b.png").write_bytes(png(seed=2))
    fingerprints.append(load_split(tmp_path / "rows.csv").fingerprint)
    shutil.copy(tmp_path / "b.png", tmp_path / "a.png")
    fingerprints.append(load_split(tmp_path / "rows.csv").fingerprint)
    assert len(set(fingerprints)) == 3


def test_a_file_is_read_again_only_when_size_or_time_changed(tmp_path, monkeypatch):
    file, old = tmp_path / "a.png", 1_000_000_000
    file.write_bytes(b"one")
    os.utime(file, (old, old))
    with FileHashes(tmp_path / "cache") as hashes:
        first = hashes.of(file)
    with monkeypatch.context() as patch, FileHashes(tmp_path / "cache") as hashes:
        patch.setattr("texlens.data.fingerprint.hashlib.file_digest", lambda *_: pytest.fail("read again"))
        assert hashes.of(file) == first
    file.write_bytes(b"two")
    os.utime(file, (old + 1, old + 1))
    with FileHashes(tmp_path / "cache") as hashes:
        assert hashes.of(file) != first


def test_without_a_cache_folder_files_are_hashed_every_time(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with FileHashes(tmp_path / "file") as hashes:
        assert len(hashes.of(tmp_path / "file")) == 64


def test_the_order_of_rows_and_the_rejected_ones_matter():
    first, second = Sample("1", A, "x"), Sample("2", A, "x")
    assert rows_fingerprint([first, second]) != rows_fingerprint([second, first])
    assert rows_fingerprint([first], ["row 2: torn"]) != rows_fingerprint([first])
