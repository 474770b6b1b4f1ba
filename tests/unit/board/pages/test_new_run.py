import sys
import time

import pytest

from texlens.board.pages import new_run

SETTINGS = ["model.path=nano", "data.path=demo", "train.steps=2"]


def test_the_form_is_made_from_the_settings_schema(board):
    form = board.json("/api/new/schema")
    assert set(form["schema"]["properties"]["adapter"]["discriminator"]["mapping"]) == {"lora", "moe-lora", "full"}
    assert "nano_latex-ocr_lora" in [recipe["name"] for recipe in form["recipes"]]
    assert (form["runs"], form["models"][0]) == (["nano"], "nano")
    assert "h200" in [gpu["name"] for gpu in form["gpus"]]


def test_a_valid_form_gives_the_run_file_with_the_boards_folder(board, folder):
    answer = board.post("/api/new/check", {"settings": SETTINGS}).json()
    assert f"output: {folder}" in answer["yaml"]
    assert answer["command"] == "texlens train run.yaml"


@pytest.mark.parametrize("route", ["check", "start"])
def test_an_impossible_setting_is_one_line_and_starts_nothing(board, route):
    answer = board.post(f"/api/new/{route}", {"settings": [*SETTINGS, "adapter.rank=0"]})
    assert answer.status_code == 400
    assert "adapter.rank" in answer.json()["error"]["message"]
    assert not board.workspace.state.exists()


def test_start_runs_the_command_and_reports_what_it_printed(board, monkeypatch):
    monkeypatch.setattr(
        new_run, "TEXLENS", (sys.executable, "-c", "import sys; print(open(sys.argv[2]).read()); sys.exit(2)")
    )
    job = board.post("/api/new/start", {"settings": SETTINGS}).json()
    assert job["command"][-2] == "train"
    until = time.monotonic() + 30
    while (state := board.json(f"/api/new/started/{job['id']}"))["job"]["exit_code"] is None:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert (state["job"]["exit_code"], state["run"]) == (2, None)
    assert "steps: 2" in "\n".join(state["output"])


def test_the_run_of_a_process_is_the_one_whose_lock_names_it(board, folder, monkeypatch):
    monkeypatch.setattr(new_run, "TEXLENS", ("true",))
    job = board.post("/api/new/start", {"settings": SETTINGS}).json()
    (folder / "nano" / ".lock").write_text(str(job["pid"]))
    assert board.json(f"/api/new/started/{job['id']}")["run"] == "nano"


def test_settings_are_compared_and_starting_points_read(board):
    assert ["adapter.rank", 1] in board.json("/api/new/settings", source="run:nano")["settings"]
    rows = board.json("/api/new/differences", left="run:nano", right="recipe:nano_latex-ocr_lora")["differences"]
    assert {"key": "adapter.rank", "left": 1, "right": 16} in rows


def test_plans_come_from_the_planning_process(folder, monkeypatch):
    from tests.unit.board.conftest import BoardClient
    from texlens.board.workspace import open_workspace

    class Planner:
        def ask(self, task, values, **more):
            answers = (
                {"notes": ["a"], "on_gpu": None, "on_cpu": {"notes": ["b"]}} if task == "plan" else {"entries": []}
            )
            return {"task": task, "rank": values["adapter"]["rank"], **answers, **more}

    monkeypatch.setattr(new_run, "PlanningClient", Planner)
    board = BoardClient(open_workspace(folder))
    form = {"settings": [*SETTINGS, "adapter.rank=4"], "gpu": "t4"}
    plan = board.post("/api/new/plan", form).json()
    assert {key: plan[key] for key in ("task", "rank", "gpu")} == {"task": "plan", "rank": 4, "gpu": "t4"}
    assert (plan["notes"], plan["on_cpu"]) == (["a"], {"notes": ["b"]})
    rows = {"task": "rows", "rank": 4, "entries": [], "start": 0, "count": 6}
    assert board.post("/api/new/rows", form).json() == rows
