from datetime import UTC, datetime, timedelta

from texlens.board.runs.summary import _left_s, summarize
from texlens.board.workspace import open_workspace


def test_a_run_is_summarized_from_its_folder(folder):
    entry = summarize(open_workspace(folder).run("nano"))
    assert (entry["state"], entry["base"], entry["adapter"], entry["step"]) == ("trained", "base", "lora r 1", 4)
    assert entry["results"][0]["intervals"]["adapter"]["low"] == 0.0
    assert entry["left_s"] is None


def test_a_damaged_run_is_reported_as_such(folder, new_run):
    new_run("damaged", "{", config="model: [")
    new_run("odd", {"state": "trained", "progress": 3})
    runs = {run["name"]: run for run in map(summarize, open_workspace(folder).runs())}
    assert runs["damaged"]["state"] == "damaged"
    assert (runs["odd"]["state"], runs["odd"]["data"], runs["odd"]["max_steps"]) == ("trained", None, None)


def test_time_left_follows_from_the_pace_since_the_training_began_or_was_resumed():
    now = datetime.now(UTC)
    record = {"max_steps": 100, "from_step": 40, "started": (now - timedelta(seconds=30)).isoformat()}
    assert _left_s(record, 60, now) == 60.0
    assert _left_s(record, 40, now) is None
    assert _left_s({}, 60, now) is None
    assert _left_s({**record, "started": "yesterday"}, 60, now) is None
