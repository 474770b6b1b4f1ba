from functools import partial

import pytest

from tests.unit.data.validate.rows import EXPECTED, IMAGES, OPTIONS, inspect_rows, kinds_of
from texlens.data.load import load_split
from texlens.data.validate.run import validate


def test_a_second_run_decodes_nothing(folder, monkeypatch):
    inspect_rows(folder)
    monkeypatch.setattr(
        "texlens.data.validate.scan.examine", lambda job: pytest.fail("looked again") if any(job[:2]) else ([], [])
    )
    assert kinds_of(inspect_rows(folder)) == EXPECTED


def test_a_damaged_cache_is_created_again(folder, tmp_path):
    inspect_rows(folder)
    for file in (entry for entry in (tmp_path / "cache").iterdir() if entry.is_file()):
        file.write_bytes(b"this is no database" * 300)
    assert kinds_of(inspect_rows(folder)) == EXPECTED


def test_a_cache_that_can_not_be_written_is_reported_and_gone_without(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TEXLENS_CACHE", str(tmp_path / "file" / "cache"))
    validation = inspect_rows(folder)
    assert kinds_of(validation) == EXPECTED
    assert "set TEXLENS_CACHE" in validation.fault


def test_a_file_that_changed_is_looked_at_again(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    (tmp_path / "train.jsonl").write_text(
        '{"messages": [{"role": "user", "content": "<img>a.png</img>"}, {"role": "assistant", "content": "x"}]}\n'
    )
    perceptual_hash = partial(validate, options=OPTIONS)
    assert perceptual_hash({"train": load_split(str(tmp_path / "train.jsonl"))}).counts == {"unreadable-image": 1}
    (tmp_path / "a.png").write_bytes(IMAGES["good"])
    assert perceptual_hash({"train": load_split(str(tmp_path / "train.jsonl"))}).counts == {}
    (tmp_path / "a.png").unlink()
    lost = perceptual_hash({"train": load_split(str(tmp_path / "train.jsonl"))})
    assert [finding.reason for finding in lost.findings] == ["no such file"]
