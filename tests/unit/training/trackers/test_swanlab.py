"""What SwanLab is started with."""

import os

import pytest


def test_swanlab_has_project_experiment_tags_and_configuration(started, run, tmp_path):
    assert started("swanlab", run) == {
        "project": "project",
        "experiment_name": "experiment",
        "tags": ["nano", "test"],
        "config": {"train": {"steps": 2}},
        "logdir": str(tmp_path / "swanlab"),
    }


@pytest.mark.parametrize(("key", "expected"), [(None, "short"), ("long", "long")])
def test_swanlab_s_key_may_be_called_swan_lab(key, expected, started, run, monkeypatch):
    monkeypatch.setenv("SWAN_LAB", "short")
    monkeypatch.setenv("SWANLAB_API_KEY", key or "")
    if key is None:
        monkeypatch.delenv("SWANLAB_API_KEY")
    started("swanlab", run)
    assert os.environ["SWANLAB_API_KEY"] == expected
