"""What a download takes and needs; the transfers are tested in tests/integration/test_download.py."""

import shutil
from collections import namedtuple

import pytest

from texlens.core.errors import ConfigError, ModelError
from texlens.models.bundled import NANO_FOLDER
from texlens.models.download import check_disk, fetch, needed_files

Usage = namedtuple("Usage", "total used free")
FILES = {
    "config.json": 1,
    "model.safetensors": 100,
    "pytorch_model.bin": 100,
    "README.md": 5,
    "original/weights.safetensors": 100,
    "tokenizer.json": 7,
}


def test_safetensors_and_texts_of_the_top_folder_are_needed():
    assert needed_files(FILES, "x") == {"config.json": 1, "model.safetensors": 100, "tokenizer.json": 7}


@pytest.mark.parametrize(("missing", "message"), [("config.json", "no config.json"), ("model.safetensors", "pickled")])
def test_a_repository_without_config_or_safetensors_is_refused(missing, message):
    with pytest.raises(ModelError, match=message):
        needed_files({name: size for name, size in FILES.items() if name != missing}, "x")


def test_a_full_disk_is_reported_with_both_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 2 << 30))
    check_disk(1 << 30, tmp_path / "new", "x", 1.0)
    with pytest.raises(ModelError, match=r"1\.5 GiB to download \(and 1 to stay free\).* has 2\.0 GiB free"):
        check_disk(3 << 29, tmp_path / "new", "x", 1.0)


def test_nano_is_the_bundled_model_and_a_folder_itself(tmp_path):
    assert fetch("nano") == NANO_FOLDER
    assert fetch(tmp_path) == tmp_path


def test_an_unknown_source_is_refused():
    with pytest.raises(ConfigError, match="ftp"):
        fetch("a/b", source="ftp")
