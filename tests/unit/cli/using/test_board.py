import pytest
from typer.testing import CliRunner

from texlens.cli.main import app
from texlens.cli.using.board import is_loopback


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("x.org", False)],
)
def test_loopback_is_recognized(host, expected):
    assert is_loopback(host) is expected


def test_a_run_folder_is_refused_before_anything_listens(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    result = CliRunner().invoke(app, ["board", str(tmp_path), "--port", "0", "--no-browser"])
    assert "a run folder" in str(result.exception)
