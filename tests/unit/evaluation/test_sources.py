import pytest

from texlens.core.errors import ConfigError
from texlens.evaluation.sources import names_of_folders


def test_exported_folders_are_named_by_the_ends_that_differ(tmp_path):
    folders = [tmp_path / "a/nf4", tmp_path / "b/nf4", tmp_path / "b/merged"]
    assert list(names_of_folders(folders)) == ["a-nf4", "b-nf4", "b-merged"]
    assert list(names_of_folders([tmp_path / "x/merged"])) == ["merged"]
    assert names_of_folders([]) == {}


def test_a_folder_named_twice_or_as_the_runs_own_systems_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="named twice"):
        names_of_folders([tmp_path / "a", tmp_path / "a"])
    with pytest.raises(ConfigError, match="rename the exported folder"):
        names_of_folders([tmp_path / "adapter"])
