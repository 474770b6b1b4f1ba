import pytest

from texlens.core.errors import DataError
from texlens.data.readers.location import DEMO, check_location, local_path


def test_a_local_path_goes_before_a_hubs_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner").mkdir()
    (tmp_path / "owner" / "name").mkdir()
    assert local_path("owner/name").is_dir()
    assert local_path("other/name") is None
    assert local_path("demo") == DEMO


@pytest.mark.parametrize("path", ["owner/nosuch", "no such", "./a/b/c", "a\0b"])
def test_what_does_not_exist_is_an_error_and_no_hub_lookup(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner").mkdir()
    with pytest.raises(DataError, match="no such"):
        check_location(path)


def test_a_prefix_names_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner").mkdir()
    assert local_path("huggingface:owner/name") is None
