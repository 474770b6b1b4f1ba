"""`texlens push` against a hub on 127.0.0.1: what is uploaded, what stays, and what the model card says."""

import json
import sys
import types

import pytest
import yaml

from tests.fixtures.upload_hub import TOKEN, UploadHub
from texlens.exporting.push.hubs import ModelScopeUploader
from texlens.models.bundled import NANO_FOLDER


@pytest.fixture
def hub(monkeypatch):
    with UploadHub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub


def metadata(text: str) -> dict:
    return yaml.safe_load(text.split("---")[1])


PUSH = ("--base", "Tiny/Qwen3-VL", "--license", "apache-2.0")


@pytest.mark.slow
def test_a_run_is_published_with_its_model_card_and_nothing_else(texlens, trained, hub, tmp_path, hub_layout):
    done = texlens("push", trained, "--to", "me/formulas", "--private", *PUSH, "--json")
    assert done.code == 0, done.err
    names = set(hub.files)
    assert {"README.md", "adapter_model.safetensors", "adapter_config.json", "texlens.json"} <= names
    assert {file["path"] for file in done.json["files"]} == names
    assert not [name for name in names if "optimizer" in name or "random" in name or "state" in name or "jsonl" in name]
    assert hub.files["adapter_model.safetensors"] == (trained / "adapter/adapter_model.safetensors").read_bytes()
    assert hub.repositories["me/formulas"]["name"] == "formulas"
    assert (
        hub.repositories["me/formulas"].get("private") or hub.repositories["me/formulas"].get("visibility") == "private"
    )
    assert hub.tokens == {f"Bearer {TOKEN}"}
    everything = b"".join(hub.files.values())
    for secret in (str(tmp_path), str(hub_layout), TOKEN):
        assert secret.encode() not in everything
    assert TOKEN not in done.out + done.err
    assert json.loads(hub.files["texlens.json"])["base"] == "Tiny/Qwen3-VL"

    model_card = hub.files["README.md"].decode()
    assert metadata(model_card)["base_model"] == "Tiny/Qwen3-VL"
    assert metadata(model_card)["library_name"] == "peft"
    assert metadata(model_card)["model-index"][0]["results"][0]["metrics"]
    for part in (
        "## Use",
        "## Data",
        "## Settings",
        "## Scores",
        "## Limits",
        "## Licences",
        "rank 4",
        "4 rows of split test",
    ):
        assert part in model_card
    stored = json.loads((trained / "scores/compare.test.json").read_text())
    score = stored["systems"]["adapter"]["scores"]["edit_similarity"]
    assert f"{score['value']:.4f} ({score['low']:.4f} … {score['high']:.4f})" in model_card


@pytest.mark.slow
def test_a_dry_run_needs_no_token_and_uploads_nothing(texlens, trained, hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    done = texlens("push", trained, "--to", "me/formulas", *PUSH, "--dry-run")
    assert done.code == 0, done.err
    assert "## Scores" in done.out
    assert hub.files == {}


@pytest.mark.slow
def test_an_export_is_published_and_foreign_files_stay(texlens, trained, hub, tmp_path):
    assert texlens("export", trained, "-o", tmp_path / "merged", "--rows", "2").code == 0
    (tmp_path / "merged/optimizer.pt").write_bytes(b"moments")
    (tmp_path / "merged/data.csv").write_text("private")
    done = texlens("push", tmp_path / "merged", "--to", "me/merged", "--run", trained, *PUSH)
    assert done.code == 0, done.err
    assert "model.safetensors" in hub.files
    assert "optimizer.pt" not in hub.files
    assert "stays here: optimizer.pt" in done.out
    assert "stays here: data.csv" in done.out
    assert metadata(hub.files["README.md"].decode())["library_name"] == "transformers"


@pytest.mark.slow
def test_what_stops_a_push_is_one_line(texlens, trained, hub, monkeypatch, tmp_path):
    assert "name the base's hub id with --base" in texlens("push", trained, "--to", "me/x").complaint
    assert "not a hub id; write it as owner/name" in texlens("push", trained, "--to", "x", *PUSH).complaint
    assert "no such hub; choose" in texlens("push", trained, "--to", "me/x", "--source", "gitee", *PUSH).complaint
    hub.refuse = 403
    assert "check that HF_TOKEN may write to me/x" in texlens("push", trained, "--to", "me/x", *PUSH).complaint
    monkeypatch.delenv("HF_TOKEN")
    assert "set HF_TOKEN in the environment or in .env" in texlens("push", trained, "--to", "me/x", *PUSH).complaint
    assert hub.files == {}


@pytest.mark.slow
def test_modelscope_takes_the_same_files(texlens, trained, hub, monkeypatch, tmp_path):
    pytest.importorskip("modelscope")
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.url)
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "ms-of-the-tests")
    monkeypatch.setenv("MODELSCOPE_HOME", str(tmp_path / "home"))
    done = texlens("push", trained, "--to", "me/formulas", "--source", "modelscope", "--private", *PUSH, "--json")
    assert done.code == 0, done.err
    assert {file["path"] for file in done.json["files"]} == set(hub.files)
    assert hub.files["adapter_model.safetensors"] == (trained / "adapter/adapter_model.safetensors").read_bytes()
    assert hub.tokens == {"Bearer ms-of-the-tests"}
    written = [path for path in tmp_path.rglob("*") if path.is_file() and b"ms-of-the-tests" in path.read_bytes()]
    assert written == []


def test_modelscope_is_given_the_token_for_the_call_and_the_named_files_alone(tmp_path, monkeypatch):
    calls = []

    class HubApi:
        def __init__(self, token=None):
            calls.append(("token", token))

        def repo_exists(self, repo_id):
            return False

        def create_repo(self, repo_id, visibility):
            calls.append(("create", repo_id, visibility))

        def upload_folder(self, repo_id, folder_path, allow_patterns, commit_message, token):
            calls.append(("upload", repo_id, folder_path, allow_patterns, token))

    api = types.ModuleType("modelscope.hub.api")
    api.HubApi = HubApi
    monkeypatch.setitem(sys.modules, "modelscope", types.ModuleType("modelscope"))
    monkeypatch.setitem(sys.modules, "modelscope.hub", types.ModuleType("modelscope.hub"))
    monkeypatch.setitem(sys.modules, "modelscope.hub.api", api)
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "ms-1")
    url = ModelScopeUploader().upload(tmp_path, ["README.md"], "me/x", private=True)
    assert url == "https://modelscope.cn/models/me/x"
    assert calls == [
        ("token", "ms-1"),
        ("create", "me/x", "private"),
        ("upload", "me/x", str(tmp_path), ["README.md"], "ms-1"),
    ]


def test_the_bundled_folder_is_no_export(texlens, hub):
    done = texlens("push", NANO_FOLDER, "--to", "me/x", "--dry-run")
    assert done.code == 2
