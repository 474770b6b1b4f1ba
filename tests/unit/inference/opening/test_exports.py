"""Exported folders are checked before they are opened."""

import pytest

from texlens.core.errors import ModelError
from texlens.inference.opening.exports import check_export


def test_what_is_no_export_is_named(tmp_path):
    with pytest.raises(ModelError, match="no such folder"):
        check_export(tmp_path / "none", "f" * 64)
    with pytest.raises(ModelError, match="no metadata of an export"):
        check_export(tmp_path, "f" * 64)
