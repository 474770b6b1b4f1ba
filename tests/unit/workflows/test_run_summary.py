import json

from texlens.core.run_folder import RunFolder
from texlens.workflows.run_summary import summarize_run

INTERVAL = {"value": 0.5, "low": 0.25, "high": 0.75}


def test_a_result_has_its_interval_and_a_damaged_one_is_left_out(tmp_path):
    (tmp_path / "run.json").write_text('{"state": "trained", "training": {"steps": 3}}')
    (tmp_path / "scores").mkdir()
    systems = {"adapter": {"scores": {"exact_match": INTERVAL}}}
    (tmp_path / "scores" / "compare.test.json").write_text(json.dumps({"rows": 4, "systems": systems}))
    (tmp_path / "scores" / "compare.x.json").write_text('{"systems": {"adapter": 3}}')
    (tmp_path / "scores" / "compare.y.json").write_text("{")
    summary = summarize_run(RunFolder(tmp_path))
    assert (summary["state"], summary["steps"], summary["scores"]) == ("trained", 3, {"adapter": 0.5})
    assert [(result["label"], result["intervals"]) for result in summary["results"]] == [
        ("test", {"adapter": INTERVAL})
    ]
