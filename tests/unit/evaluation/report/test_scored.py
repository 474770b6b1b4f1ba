from texlens.evaluation.report.scored import write_scored_report
from texlens.metrics.prediction import Prediction


def test_report_of_predictions_names_the_file_and_the_rules(tmp_path):
    predictions = [Prediction("1", "x", "x"), Prediction("2", "y", "z")]
    path = write_scored_report(tmp_path / "r.html", tmp_path / "model.jsonl", predictions, "reference")
    page = path.read_text()
    assert "<h1>model</h1>" in page
    assert "model.jsonl, CDM as reference" in page
    assert "50.0%" in page
