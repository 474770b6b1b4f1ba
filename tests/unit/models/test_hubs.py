import os
import time

import pytest
from huggingface_hub import HfApi

from texlens.core.errors import ModelError
from texlens.models.hubs import ABANDONED_AFTER_S, HuggingFace, UnreachableError


def failing(error: Exception):
    def model_info(self, *args, **options):
        raise error

    return model_info


class GatedRepoError(Exception):
    """Named as the client's own error; errors are recognized by their class names."""


class RevisionNotFoundError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (GatedRepoError(), ModelError, "access is granted on request.*HF_TOKEN"),
        (RevisionNotFoundError(), ModelError, "no revision 'v9'"),
        (OSError(28, "No space left on device"), ModelError, "No space left on device; fix it"),
        (ConnectionError("reset"), UnreachableError, r"did not answer completely \(reset\)"),
    ],
)
def test_errors_of_the_client_become_one_line(error, kind, message, monkeypatch):
    monkeypatch.setattr(HfApi, "model_info", failing(error))
    with pytest.raises(kind, match=message) as caught:
        HuggingFace().files("a/b", "v9")
    assert "\n" not in str(caught.value)


def test_only_files_of_the_right_size_count_as_downloaded(tmp_path):
    (tmp_path / "a").write_bytes(b"123")
    (tmp_path / "b").write_bytes(b"1")
    assert HuggingFace().missing_bytes("a/b", None, {"a": 3, "b": 4, "c": 5}, tmp_path) == 9


def test_partial_files_are_deleted_only_when_abandoned(tmp_path, monkeypatch):
    folder = tmp_path / ".cache/huggingface/download"
    folder.mkdir(parents=True)
    old, recent = folder / "old.incomplete", folder / "recent.incomplete"
    for path in (old, recent):
        path.touch()
    past = time.time() - ABANDONED_AFTER_S - 10
    os.utime(old, (past, past))
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *args, **options: str(tmp_path))
    HuggingFace().fetch("a/b", None, ["config.json"], tmp_path)
    assert not old.exists()
    assert recent.exists()
