import http.server
import json
import threading
from pathlib import Path

from typer.testing import CliRunner

from texlens.cli.main import app
from texlens.models.bundled import NANO_FOLDER
from texlens.workflows.doctor import machine
from texlens.workflows.doctor.checks import Check
from texlens.workflows.doctor.examine import NANO_SHA256, examine


def test_the_recorded_checksum_is_that_of_the_shipped_weights():
    assert machine.weights_sha256(NANO_FOLDER / "model.safetensors") == NANO_SHA256


def test_this_machine_passes_and_the_shipped_model_reads(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    checks = {check.name: check for check in examine(tmp_path / "runs")}
    assert {check.status for check in checks.values()} <= {"ok", "info", "warn"}
    assert checks["reading"].status == "ok"
    assert checks["hub"].reason.startswith("HF_HUB_OFFLINE is set")
    assert {"torch", "transformers", "peft", "numpy with pyarrow", "gpu", "disk", "tokens", "runs"} <= checks.keys()


def test_a_failing_import_is_reported_by_its_last_line():
    assert machine.import_error("raise ImportError('numpy.core.multiarray failed to import')") == (
        "ImportError: numpy.core.multiarray failed to import"
    )
    assert machine.import_error("pass") is None


def test_any_http_status_is_an_answer_and_no_connection_is_an_error():
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.handle_request, daemon=True).start()
    assert machine.endpoint_error(f"http://127.0.0.1:{server.server_port}") is None
    server.server_close()
    assert machine.endpoint_error("http://127.0.0.1:1") is not None


def test_a_folder_below_a_file_can_t_be_written(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    assert machine.write_error(tmp_path / "new" / "runs") is None
    assert machine.write_error(file) is not None


def test_json_holds_every_check_and_a_fail_exits_with_2(monkeypatch):
    failing = Check("torch", "fail", "not installed", "pip install torch")
    monkeypatch.setattr("texlens.workflows.doctor.examine.examine", lambda output, reading: iter([failing]))
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout) == {
        "ok": False,
        "checks": [
            {
                "name": "torch",
                "status": "fail",
                "state": "fail",
                "reason": "not installed",
                "remedy": "pip install torch",
            }
        ],
    }


def test_remedy_and_conclusion_follow_a_problem(monkeypatch):
    warning = Check("hub", "warn", "timed out", "export HF_ENDPOINT=…")
    monkeypatch.setattr("texlens.workflows.doctor.examine.examine", lambda output, reading: iter([warning]))
    result = CliRunner().invoke(app, ["doctor", "--output", str(Path("runs"))])
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "warn hub                timed out",
        "       export HF_ENDPOINT=…",
        "TexLens works here, with limits: hub",
    ]
