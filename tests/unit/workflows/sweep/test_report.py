import json

from texlens.workflows.sweep.report import sweep_json, write_results


def test_trials_are_ranked_with_intervals(finished):
    content = sweep_json(finished, finished=True)
    losses = [trial["validation_loss"]["value"] for trial in content["trials"]]
    assert losses == sorted(losses)
    assert content["best"] == content["trials"][0]["number"] == finished.best.number
    assert content["trials"][0]["worse_than_best"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert all(trial["validation_loss"]["low"] <= trial["validation_loss"]["value"] for trial in content["trials"])


def test_the_record_is_the_json_and_the_page_shows_every_trial(finished):
    report = write_results(finished, finished=True)
    assert json.loads(finished.folder.record.read_text())["best"] == finished.best.number
    page = report.read_text()
    assert "Lowest validation loss, trial 2" in page
    assert page.count("after its last step") == 3
    assert "at step 2: surely worse than trial 2" in page
    assert page.count('<polyline class="line') == 4
    assert "adapter.rank" in page
    assert f"texlens compare {finished.folder.path}/trials/002" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
