import shutil
from collections import namedtuple

import pytest

from tests.fixtures.tiny_models import write_tiny_checkpoint
from texlens.core.errors import ExportError
from texlens.exporting.decoding import Decoding
from texlens.exporting.folder import check_free_space, check_output, staging_dir, write_supporting_files
from texlens.models.processor import load_processor

Usage = namedtuple("Usage", "total used free")


def test_an_empty_or_new_folder_is_accepted(tmp_path):
    check_output(tmp_path / "new", force=False)
    check_output(tmp_path, force=False)


def test_a_folder_with_files_needs_force(tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(ExportError, match="--force"):
        check_output(tmp_path, force=False)
    check_output(tmp_path, force=True)


def test_a_file_with_the_folder_s_name_is_refused_even_with_force(tmp_path):
    (tmp_path / "x").touch()
    for path in (tmp_path / "x", tmp_path / "x/below"):
        with pytest.raises(ExportError, match="a file has this name"):
            check_output(path, force=True)


def test_free_space_is_measured_at_the_nearest_existing_folder(tmp_path, monkeypatch):
    measured = []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: measured.append(path) or Usage(0, 0, 1 << 30))
    check_free_space(tmp_path / "a/b", 1 << 29)
    assert measured == [tmp_path]
    with pytest.raises(ExportError, match=r"needs 1\.1 GiB"):
        check_free_space(tmp_path / "a", 1 << 30)


def test_a_staged_folder_replaces_the_old_one_when_complete(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").touch()
    with staging_dir(tmp_path / "out") as staging:
        (staging / "new").touch()
        assert (tmp_path / "out/old").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new"]


def test_a_failure_leaves_the_old_folder(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").touch()
    with pytest.raises(ValueError, match="x"), staging_dir(tmp_path / "out"):
        raise ValueError("x")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out/old").exists()


def test_small_files_are_copied_without_weights_and_config(tmp_path):
    base = write_tiny_checkpoint(tmp_path / "base")
    (base / "LICENSE").write_text("text")
    (tmp_path / "out").mkdir()
    write_supporting_files(base, load_processor(base), Decoding(8), tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"LICENSE", "tokenizer.json", "preprocessor_config.json", "generation_config.json"} <= names
    assert not {"config.json", "model.safetensors"} & names
