"""A run that asks for prepared images: trained, evaluated and exported with them."""

import json
from pathlib import Path

import pytest

from tests.fixtures.thorough import IS_THOROUGH
from texlens.inference.open import open_model
from texlens.inputs.image_preparation import KEEP_SIZE
from texlens.models.metadata import read_preparation

pytestmark = pytest.mark.skipif(not IS_THOROUGH, reason="`make test-all` runs it: THOROUGH=1")


def test_a_run_s_preparation_is_recorded_used_and_exported(texlens, run_file, tmp_path):
    assert texlens("train", run_file, "--set", "model.image_preparation=true").code == 0
    run = tmp_path / "runs" / "tiny"
    assert read_preparation(run / "adapter") == KEEP_SIZE
    assert open_model(run).preparation == KEEP_SIZE
    stored = [json.loads(file.read_text()) for file in (run / "predictions").glob("test.*.json")]
    assert len(stored) == 2
    assert all("image_preparation" in json.dumps(each) for each in stored)

    assert texlens("export", run, "--format", "merged", "-o", tmp_path / "merged").code == 0
    assert read_preparation(tmp_path / "merged") == KEEP_SIZE
    assert open_model(tmp_path / "merged").preparation == KEEP_SIZE
    assert "Other programs don't" in Path(tmp_path / "merged" / "README.md").read_text()
