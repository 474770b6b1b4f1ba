import pytest

from texlens.core.errors import ConfigError
from texlens.evaluation.systems.names import names_of_systems


def names(*systems: object) -> list[str]:
    return list(names_of_systems([str(system) for system in systems]))


def test_systems_are_named_by_the_ends_that_differ(tmp_path):
    for part in ("a/nf4", "b/nf4", "b/merged"):
        (tmp_path / part).mkdir(parents=True)
    assert names(tmp_path / "a/nf4", tmp_path / "b/nf4", tmp_path / "b/merged") == ["a-nf4", "b-nf4", "b-merged"]
    assert names(tmp_path / "b/merged") == ["merged"]
    assert names() == []


def test_hub_ids_endpoints_and_files_are_named_too(tmp_path):
    (tmp_path / "other.jsonl").write_text("{}")
    assert names("Qwen/Qwen3-VL-4B-Instruct") == ["Qwen3-VL-4B-Instruct"]
    assert names("http://me:key@localhost:8000/v1#qwen") == ["qwen"]
    assert names("http://localhost:8000/v1") == ["localhost_8000"]
    assert names(tmp_path / "other.jsonl") == ["other"]


def test_a_system_named_twice_or_as_the_runs_own_is_refused(tmp_path):
    (tmp_path / "adapter").mkdir()
    with pytest.raises(ConfigError, match="named twice"):
        names("nano", "nano")
    with pytest.raises(ConfigError, match="the run's own adapter has that name already"):
        names(tmp_path / "adapter")
