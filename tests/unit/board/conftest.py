"""A board on a folder of runs, asked as a browser asks it."""

import json
import shutil
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from texlens.board.app import create_app
from texlens.board.workspace import open_workspace

ADDRESS = "http://127.0.0.1:8422"
FIXTURE = Path(__file__).parents[2] / "fixtures" / "run_0_1" / "runs"


class BoardClient:
    """Requests of a browser that opened the printed address; `post` is what the page's script sends."""

    def __init__(self, workspace):
        self.workspace = workspace
        self.http = TestClient(create_app(workspace), base_url=ADDRESS, raise_server_exceptions=False)

    def get(self, path, **more):
        return self.http.get(path, **more)

    def json(self, path, **params):
        answer = self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path, body=None, **more):
        headers = {"X-TexLens-Token": self.workspace.token, "Origin": ADDRESS}
        return self.http.post(path, json=body or {}, headers=headers, **more)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A copy of the run that version 0.1 left."""
    shutil.copytree(FIXTURE, tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture
def board(folder) -> BoardClient:
    return BoardClient(open_workspace(folder))


@pytest.fixture
def new_run(folder):
    """Writes a run folder from its manifest and measurements."""

    def write(name: str, manifest: dict | str, metrics: list[dict] = (), config: str = "") -> Path:
        path = folder / name
        path.mkdir()
        (path / "run.json").write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
        (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in metrics))
        if config:
            (path / "config.yaml").write_text(config)
        return path

    return write
