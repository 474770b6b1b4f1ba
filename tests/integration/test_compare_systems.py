"""`texlens compare RUN SYSTEM …`: other runs, checkpoints, bare models and files of predictions on the same rows."""

import json
import shutil
from pathlib import Path

import pytest

FIXTURE = Path(__file__).parents[1] / "fixtures" / "run_0_1"


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    shutil.copytree(FIXTURE, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return Path("runs/nano")


def write_predictions(path: Path, wrong: str = "") -> Path:
    rows = [json.loads(line) for line in Path("data/test.jsonl").read_text().splitlines()]
    lines = [{"id": f"test-{number}", "prediction": wrong or row["text"]} for number, row in enumerate(rows[:3])]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return path


def test_any_systems_are_compared_on_the_same_rows_in_one_report(run, texlens):
    shutil.copytree(run, "runs/second")
    perfect = write_predictions(Path("perfect.jsonl"))
    outcome = texlens("compare", run, "runs/second", run / "checkpoints/checkpoint-4", "nano", perfect, "--json")

    assert outcome.code == 0, outcome.err
    value = outcome.json
    assert list(value["systems"]) == ["base", "adapter", "second", "checkpoint-4", "nano", "perfect"]
    exact = {name: system["scores"]["exact_match"]["value"] for name, system in value["systems"].items()}
    assert exact["perfect"] == 0.75
    assert exact["second"] == exact["adapter"] == 0.5
    assert exact["nano"] == exact["base"]
    pairs = value["paired"].values()
    assert all(pair["p_adjusted"] >= pair["p_value"] for pair in pairs)
    assert set(value["against_adapter"]) == {
        f"{name}_vs_adapter" for name in ("second", "checkpoint-4", "nano", "perfect")
    }
    assert set(value["train_overlap_of_others"]) == {"second", "checkpoint-4"}
    report = (run / f"report.{value['label']}.html").read_text()
    assert all(name in report for name in value["systems"])


def test_a_comparison_with_others_replaces_none_of_the_runs_own(run, texlens):
    texlens("compare", run)
    before = (run / "report.html").read_bytes(), (run / "scores/compare.test.json").read_bytes()
    texlens("compare", run, write_predictions(Path("other.jsonl"), wrong="q"))
    assert ((run / "report.html").read_bytes(), (run / "scores/compare.test.json").read_bytes()) == before


def test_systems_are_a_table_of_80_columns_and_rows_are_printed(run, texlens, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    outcome = texlens("compare", run, write_predictions(Path("other.jsonl"), wrong="q"), "--show", 2)
    assert outcome.code == 0, outcome.err
    assert "p-values are corrected for 2 comparisons (Holm)" in outcome.out
    assert "[test-0]\n  reference  z - 1\n  base       z - 1  (exact)" in outcome.out
    assert "  other      q  (3 edits)" in outcome.out
    assert "[test-2]" not in outcome.out


def test_show_prints_reference_base_and_adapter(run, texlens):
    text = texlens("compare", run, "--show", 5).out
    assert "[test-1]\n  reference  \\sum _ { i = 0 }" in text
    assert "cut at the token limit)" in text
    assert "[test-3]\n  reference  k\n  base       failed: " in text


def test_all_scores_of_several_systems_are_printed_where_asked_for(run, texlens):
    short, long = texlens("compare", run, "nano").out, texlens("compare", run, "nano", "--all").out
    assert "more scores: --all" in short
    assert "Within 3 tokens" not in short
    assert "Within 3 tokens" in long


def test_results_of_a_checkpoint_have_their_own_name(run, texlens):
    best = texlens("compare", run, "--json").json
    other = texlens("compare", run, "--checkpoint", "4", "--json").json
    assert (best["label"], other["label"]) == ("test", "test-checkpoint-4")
    evaluated = texlens("evaluate", run / "checkpoints/checkpoint-4", "--json").json
    assert evaluated["label"] == "test-checkpoint-4"
    assert texlens("evaluate", run, "--checkpoint", "latest", "--json").json["label"] == "test-checkpoint-4"


@pytest.mark.parametrize(
    ("system", "message"),
    [
        ("missing.jsonl", "missing.jsonl: no such file of predictions"),
        ("runs/nothing", "runs/nothing"),
        ("http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1: no model named"),
    ],
)
def test_a_system_that_is_not_there_is_named_in_one_line(run, texlens, system, message):
    outcome = texlens("compare", run, system)
    assert outcome.code == 2
    assert message in outcome.complaint
