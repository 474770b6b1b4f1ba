"""`texlens score`: the table, the JSON, the rows and the report."""

import json

import pytest
from typer.testing import CliRunner

from texlens.cli.main import app
from texlens.core.errors import ConfigError


@pytest.fixture
def predictions(tmp_path):
    rows = [
        {"gt": "x ^ 2", "pred": "x^{2}", "domain": "print"},
        {"gt": r"\frac{a}{b}", "pred": r"\frac{a}{c}", "domain": "hand"},
        {"gt": "y", "pred": None, "domain": "hand"},
        {"gt": r"\nonsense", "pred": "y", "domain": "hand"},
    ]
    path = tmp_path / "predictions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def run(*arguments):
    return CliRunner().invoke(
        app, ["score", *arguments, "--reference", "gt", "--prediction", "pred"], catch_exceptions=False
    )


def test_the_table_has_scores_slices_bleus_definition_and_the_references_that_cannot_be_drawn(predictions):
    output = " ".join(run(predictions).output.split())
    for part in (
        "4 rows, 1 failed",
        "CDM F1",
        "nrefs:1|case:mixed",
        "kind: fraction",
        "1 row with a reference that can't",
    ):
        assert part in output


def test_json_rows_and_report(predictions, tmp_path):
    output = json.loads(
        run(predictions, "--json", "--rows", str(tmp_path / "o.jsonl"), "--report", str(tmp_path / "o.html")).stdout
    )
    assert (output["rows"], output["failed"]) == (4, 1)
    assert output["scores"]["cdm_f1"]["value"] == pytest.approx((1 + 2 / 3) / 4)
    assert list(output["undrawn_references"].values()) == [r"unknown command `\nonsense`, at character 0"]
    assert len((tmp_path / "o.jsonl").read_text().splitlines()) == 4
    assert "Canonical match" in (tmp_path / "o.html").read_text()


def test_a_preset_prints_its_own_scores(predictions):
    output = json.loads(run(predictions, "--json", "--preset", "uni-mumer").stdout)
    assert output["preset"] == "uni-mumer"
    assert list(output["scores"]) == [
        "exact_match", "within_1", "within_2", "within_3", "edit_similarity", "bleu4", "character_error_rate",
    ]  # fmt: skip


def test_a_report_of_a_preset_is_refused(predictions, tmp_path):
    with pytest.raises(ConfigError, match="--report shows our own scores"):
        run(predictions, "--preset", "uni-mumer", "--report", str(tmp_path / "o.html"))


def test_the_old_option_truth_still_works_with_a_deprecation_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"label": "x", "text": "x"}\n')
    result = CliRunner().invoke(app, ["score", str(path), "--truth", "label", "--metrics", "exact_match", "--json"])
    assert json.loads(result.stdout)["scores"]["exact_match"]["value"] == 1.0
    assert "--truth is the old name of --reference" in result.stderr
