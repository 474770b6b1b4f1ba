"""Adapters of other programs, and damaged ones."""

import json
import shutil

import pytest

from texlens.core.errors import ModelError
from texlens.inference.opening.source import resolve


def test_adapter_of_another_program_is_read_on_the_base_that_it_names(run, tmp_path):
    folder = tmp_path / "peft"
    shutil.copytree(run.adapter, folder)
    (folder / "texlens.json").unlink()
    assert resolve(folder).base.fingerprint == resolve(run.path).base.fingerprint

    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**settings, "base_model_name_or_path": None}))
    with pytest.raises(ModelError, match="names no base_model_name_or_path"):
        resolve(folder)


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("adapter_config.json", "[]"),
        ("adapter_config.json", "1"),
        ("adapter_config.json", "null"),
        ("adapter_config.json", DEEP),
        ("texlens.json", "[]"),
        ("texlens.json", "{}x"),
        ("texlens.json", DEEP),
        ("texlens.json", {"min_pixels": 1e14}),
        ("texlens.json", {"max_pixels": 10**14}),
        ("texlens.json", {"min_pixels": 0}),
        ("texlens.json", {"min_pixels": "many"}),
        ("texlens.json", {"min_pixels": 10**30}),
        ("texlens.json", {"prompt": 7}),
        ("texlens.json", {"prompt": None}),
        ("texlens.json", {"system_prompt": ["x"]}),
        ("texlens.json", {"base": {}}),
        ("texlens.json", {"base_fingerprint": 3}),
        ("texlens.json", {"base_quantize": "nf3"}),
        ("texlens.json", {"calibration": 3}),
        ("texlens.json", {"calibration": {"temperature": "hot"}}),
    ],
)
def test_damaged_adapter_folder_is_one_line(run, tmp_path, file, content):
    folder = tmp_path / "damaged"
    shutil.copytree(run.adapter, folder)
    if isinstance(content, dict):
        content = json.dumps({**json.loads((folder / file).read_text()), **content})
    (folder / file).write_text(content)
    with pytest.raises(ModelError) as caught:
        resolve(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
