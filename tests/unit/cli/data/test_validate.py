"""`texlens data validate`."""

import json

import pytest

from tests.unit.cli.data.calling import called
from texlens.core.errors import ConfigError


def test_errors_give_exit_code_2_and_a_line_a_kind(folder):
    output = called("validate", folder, code=2)
    assert "unreadable-image" in output
    assert "test: 1 of 1 different labels (1 of 1 rows) and 1 of 1 images are also in train" in output
    assert "2 errors, 1 warning, 0 notes" in output


def test_json_holds_every_finding(folder):
    report = json.loads(called("validate", folder, "--json", code=2))
    assert report["kinds"] == {"unreadable-image": 1, "image-leak": 1, "label-leak": 1}
    assert len(report["findings"]) == 3


def test_a_fixed_copy_is_written_with_its_statistics(folder, tmp_path):
    report = json.loads(called("validate", folder, "--fix", "-o", tmp_path / "new", "--leaks", "to-train", "--json"))
    statistics = report["fixed"]
    assert (statistics["rows_in"], statistics["kept"], statistics["rejected"], statistics["merged"]) == (3, 1, 1, 1)
    assert "0 errors" in called("validate", tmp_path / "new")
    assert "kept" in called("validate", folder, "--fix", "-o", tmp_path / "other", "--no-render")


def test_fix_needs_a_place_and_drop_a_kind_that_there_is(folder, tmp_path):
    with pytest.raises(ConfigError, match="give both --fix and -o"):
        called("validate", folder, "--fix")
    with pytest.raises(ConfigError, match="no such kind"):
        called("validate", folder, "--fix", "-o", tmp_path / "new", "--drop", "nonsense")
