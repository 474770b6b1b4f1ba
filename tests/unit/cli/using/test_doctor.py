import json
from pathlib import Path

from typer.testing import CliRunner

from texlens.cli.main import app
from texlens.workflows.doctor.checks import Check


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
