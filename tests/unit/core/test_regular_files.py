"""Only regular files are opened."""

import os

import pytest

from texlens.core.errors import DataError
from texlens.core.regular_files import open_regular, read_regular


def test_a_file_is_read_up_to_its_limit(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == b"12345"
    with pytest.raises(DataError, match=r"a\.txt: over 0 MiB"):
        read_regular(path, 4)


def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="not a regular file"):
        open_regular(tmp_path / "pipe")


def test_a_name_with_a_null_character_is_refused(tmp_path):
    with pytest.raises(DataError, match="NUL"):
        open_regular(tmp_path / "a\0b")
