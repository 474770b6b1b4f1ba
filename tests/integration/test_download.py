"""Downloads from a hub of our own on 127.0.0.1, through the hubs' real clients."""

import json
import os
import shutil
from collections import namedtuple

import pytest

from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.integration.small_hub import REPOSITORY, SmallHub
from texlens.core.errors import ConfigError, ModelError
from texlens.models.checkpoint import check_checkpoint, fingerprint
from texlens.models.download import fetch

Usage = namedtuple("Usage", "total used free")
WEIGHTS = "model.safetensors"


@pytest.fixture
def repository(tmp_path):
    folder = write_tiny_checkpoint(tmp_path / "repository")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle" * 1000)
    (folder / "README.md").write_text("A model card.")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for all tests: ModelScope's client keeps the first address that it is given."""
    with SmallHub(tmp_path_factory.mktemp("empty")) as hub:
        yield hub


@pytest.fixture
def hub(server, repository, tmp_path, monkeypatch):
    """The hub with the repository in it; both clients are pointed at it and have empty caches."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    url_template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url_template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", server.url)
    monkeypatch.setenv("MODELSCOPE_DOMAIN", server.url)
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "modelscope"))
    return server.reset(repository)


def fetch_here(to=None, **options):
    return fetch(REPOSITORY, source="huggingface", to=to, free_margin_gib=0, **options)


def test_a_repository_is_downloaded_completely_and_without_pickles(hub, repository, tmp_path):
    folder = fetch_here(tmp_path / "model")

    assert fingerprint(folder) == fingerprint(repository)
    assert not (folder / "pytorch_model.bin").exists()
    assert not (folder / "onnx").exists()
    assert "pytorch_model.bin" not in hub.sent


def test_a_complete_folder_is_reused_without_a_request(hub, tmp_path):
    fetch_here(tmp_path / "model")
    hub.answer_with = 500
    hub.sent.clear()

    assert fetch_here(tmp_path / "model") == tmp_path / "model"
    assert hub.sent == {}


def test_the_clients_own_cache_is_reused_without_a_file_request(hub):
    first = fetch_here()
    hub.sent.clear()

    assert fetch_here() == first
    assert hub.sent == {}


def test_without_a_network_the_cache_is_used(hub):
    first = fetch_here()
    hub.answer_with = 500

    assert fetch_here() == first


def test_a_folder_of_another_checkpoint_is_not_overwritten(hub, tmp_path):
    fetch_here(tmp_path / "model")
    with pytest.raises(ModelError, match=r"model: contains Tiny/Qwen3-VL at its default revision; name another --to"):
        fetch("Other/Model", to=tmp_path / "model")


def test_only_a_missing_file_is_downloaded(hub, tmp_path):
    folder = fetch_here(tmp_path / "model")
    (folder / WEIGHTS).unlink()
    hub.sent.clear()
    fetch_here(folder)

    assert list(hub.sent) == [WEIGHTS]
    check_checkpoint(folder)


def test_an_interrupted_connection_resumes_within_the_file(hub, repository, tmp_path):
    hub.cuts[WEIGHTS] = [100_000]
    folder = fetch_here(tmp_path / "model")

    assert fingerprint(folder) == fingerprint(repository)
    assert hub.ranges == ["bytes=100000-"]
    assert hub.sent[WEIGHTS] == (repository / WEIGHTS).stat().st_size


def test_an_interrupted_download_resumes_with_the_missing_files(hub, repository, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    hub.cuts[WEIGHTS] = [100_000, *[0] * 40]
    with pytest.raises(ModelError, match=r"Tiny/Qwen3-VL: can't be downloaded: huggingface did not answer completely"):
        fetch_here(tmp_path / "model")
    hub.cuts.clear()
    folder = fetch_here(tmp_path / "model")

    assert fingerprint(folder) == fingerprint(repository)
    assert hub.sent["tokenizer.json"] == (repository / "tokenizer.json").stat().st_size


def test_partial_files_of_a_killed_download_are_deleted(hub, tmp_path):
    parts = tmp_path / "model/.cache/huggingface/download"
    parts.mkdir(parents=True)
    (parts / "old.incomplete").write_bytes(b"half")
    os.utime(parts / "old.incomplete", (0, 0))
    (parts / "new.incomplete").write_bytes(b"half")
    fetch_here(tmp_path / "model")

    assert [path.name for path in parts.glob("*.incomplete")] == ["new.incomplete"]


def test_a_missing_repository_is_reported_in_one_line(hub):
    with pytest.raises(
        ModelError, match=r"^Nobody/Nothing \(huggingface\): no such repository, or no access"
    ) as caught:
        fetch("Nobody/Nothing", source="huggingface")
    assert "\n" not in str(caught.value)


def test_a_repository_without_access_is_reported_in_one_line(hub):
    hub.answer_with = 401
    with pytest.raises(ModelError, match=r"no access to it \(401\); check the id, or set HF_TOKEN") as caught:
        fetch_here()
    assert "\n" not in str(caught.value)


def test_a_missing_revision_is_named(hub):
    with pytest.raises(ModelError, match=r"no revision 'v9'; check model.revision"):
        fetch_here(revision="v9")


def test_a_full_disk_is_reported_before_weights_are_downloaded(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 0, 400_000))
    with pytest.raises(ModelError, match=r"GiB to download .*GiB free; make room or name another disk with --to"):
        fetch_here(tmp_path / "model")

    assert hub.bytes_of(".safetensors") == 0


def test_local_files_need_no_disk_space(hub, tmp_path, monkeypatch):
    folder = fetch_here(tmp_path / "model")
    (folder / "tokenizer_config.json").unlink()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 0, 100_000))

    assert fetch_here(folder) == folder


def test_an_unknown_family_is_refused_before_weights_are_downloaded(hub, repository):
    (repository / "config.json").write_text('{"model_type": "llava"}')
    with pytest.raises(ModelError, match=r"config.json: model_type 'llava' is not a family"):
        fetch_here()

    assert hub.bytes_of(".safetensors") == 0


def test_a_repository_with_pickles_only_is_refused(hub, repository):
    (repository / WEIGHTS).unlink()
    with pytest.raises(ModelError, match="no safetensors in the repository, and pickled weights are refused"):
        fetch_here()

    assert hub.sent == {}


def test_modelscope_gives_the_same_files(hub, repository, tmp_path):
    pytest.importorskip("modelscope")
    folder = fetch(REPOSITORY, source="modelscope", to=tmp_path / "model", free_margin_gib=0)
    hub.sent.clear()
    again = fetch(REPOSITORY, source="modelscope", to=tmp_path / "model", free_margin_gib=0)

    assert fingerprint(folder) == fingerprint(repository)
    assert not (folder / "pytorch_model.bin").exists()
    assert again == folder
    assert hub.sent == {}


def test_a_repository_missing_on_modelscope_is_reported_in_one_line(hub):
    pytest.importorskip("modelscope")
    with pytest.raises(ModelError, match=r"^Nobody/Nothing \(modelscope\): no such repository") as caught:
        fetch("Nobody/Nothing", source="modelscope")
    assert "\n" not in str(caught.value)


def test_a_local_folder_is_used_unchanged(tmp_path):
    assert fetch(tmp_path) == tmp_path


def test_a_missing_folder_is_not_mistaken_for_a_hub_id(tmp_path):
    with pytest.raises(ModelError, match="no such folder, and not a hub id"):
        fetch(tmp_path / "missing")


def test_an_unknown_source_is_refused():
    with pytest.raises(ConfigError, match=r"model.source 'ftp' is not known; use one of auto, huggingface, modelscope"):
        fetch(REPOSITORY, source="ftp")


def test_the_record_of_a_download_names_its_source(hub, tmp_path):
    folder = fetch_here(tmp_path / "model")
    record = json.loads((folder / ".texlens-download.json").read_text())

    assert (record["id"], record["source"], record["revision"]) == (REPOSITORY, "huggingface", None)
    assert record["files"][WEIGHTS] == (folder / WEIGHTS).stat().st_size
