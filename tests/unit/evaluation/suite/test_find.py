import pytest

from tests.unit.data.pictures import png
from texlens.core.errors import ConfigError, DataError
from texlens.evaluation.suite.benchmarks import chosen
from texlens.evaluation.suite.find import find_copies, suite_folder


def write_list(folder, labels, images):
    (folder / images).mkdir(parents=True)
    (folder / images / "a.png").write_bytes(png(20, 10))
    (folder / labels).write_text("a\tx\n")


def test_layouts_as_they_are_distributed_are_found(tmp_path):
    for year in ("2014", "train"):
        write_list(tmp_path / f"CROHME/{year}", "caption.txt", "img")
    write_list(tmp_path / "HME100K/test", "test_labels.txt", "test_images")
    write_list(tmp_path / "UniMER-Test", "spe.txt", "spe")
    copies, missing = find_copies(chosen("crohme,hme100k,unimer"), tmp_path)
    assert [(copy.benchmark.name, copy.path, copy.split) for copy in copies] == [
        ("crohme-2014", str(tmp_path / "CROHME"), "2014"),
        ("hme100k", str(tmp_path / "HME100K"), "test"),
        ("unimer-spe", str(tmp_path / "UniMER-Test"), "spe"),
    ]
    assert [benchmark.name for benchmark in missing] == [
        *("crohme-2016", "crohme-2019"),
        *("unimer-cpe", "unimer-sce", "unimer-hwe"),
    ]


def test_a_file_of_its_name_in_any_format_is_a_copy(tmp_path):
    (tmp_path / "a.png").write_bytes(png(20, 10))
    (tmp_path / "im2latexv2.jsonl").write_text('{"image": "a.png", "text": "x"}\n')
    copies, _ = find_copies(chosen("im2latexv2"), tmp_path)
    assert [(copy.path, copy.split) for copy in copies] == [(str(tmp_path / "im2latexv2.jsonl"), "train")]


def test_what_is_not_here_comes_from_the_hub_where_there_is_one(tmp_path):
    copies, _ = find_copies(chosen("mathwriting"), tmp_path)
    assert [(copy.path, copy.split) for copy in copies] == [("deepcopy/MathWriting-human", "test")]


def test_a_suite_without_any_copy_is_an_error_that_says_where_to_get_it(tmp_path):
    with pytest.raises(ConfigError, match=r"no copy of hme100k .*; get it from ai.100tal.com/dataset"):
        find_copies(chosen("hme100k"), tmp_path)


def test_train_rows_are_never_taken_for_test_rows(tmp_path):
    for split in ("train", "dev"):
        write_list(tmp_path / f"hme100k/{split}", "caption.txt", "img")
    with pytest.raises(DataError, match="none called test; keep the test rows alone there"):
        find_copies(chosen("hme100k"), tmp_path)


def test_the_folder_is_named_or_comes_from_the_environment(tmp_path, monkeypatch):
    assert str(suite_folder(None)) == "data/benchmarks"
    monkeypatch.setenv("TEXLENS_BENCHMARKS", str(tmp_path))
    assert suite_folder(None) == tmp_path
