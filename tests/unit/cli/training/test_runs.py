import json
from pathlib import Path

from typer.testing import CliRunner

from texlens.cli.main import app

RUNS = Path(__file__).parents[3] / "fixtures" / "run_0_1" / "runs"


def test_a_run_is_listed_with_state_rows_and_scores():
    (row,) = json.loads(CliRunner().invoke(app, ["runs", "--output", str(RUNS), "--json"]).stdout)["runs"]
    assert (row["state"], row["steps"], row["scores"]) == ("trained", 4, {"base": 0.5, "adapter": 0.5})
    assert [result["rows"] for result in row["results"]] == [4]


def test_a_damaged_run_hides_no_other(tmp_path):
    for name, manifest in (("good", '{"state": "trained", "created": "2"}'), ("damaged", "{")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(manifest)
    output = CliRunner().invoke(app, ["runs", "--output", str(tmp_path)]).stdout
    assert "damaged" in output
    assert "trained" in output


def test_markup_in_a_name_is_shown_as_it_is(tmp_path, monkeypatch):
    (tmp_path / "[red]x").mkdir()
    (tmp_path / "[red]x" / "run.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert "[red]x" in CliRunner().invoke(app, ["runs", "--output", "."]).stdout
    assert "[/red]" in CliRunner().invoke(app, ["runs", "--output", "[/red]"]).stdout
