"""Results are bound to what made them, and a measurement of other rows replaces none."""

import json
import os
import shutil
from pathlib import Path

import pytest

FIXTURE = Path(__file__).parents[1] / "fixtures" / "run_0_1"


@pytest.fixture
def run(tmp_path, monkeypatch, texlens) -> Path:
    """A compared run in a working folder where its data can be changed."""
    shutil.copytree(FIXTURE, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    assert texlens("compare", "runs/nano").code == 0
    return Path("runs/nano")


def texts(run: Path) -> dict[str, str]:
    lines = (run / "predictions/test.adapter.jsonl").read_text().splitlines()
    return {row["id"]: row["text"] for row in map(json.loads, lines)}


def test_swapped_images_are_read_again(run, texlens):
    before = texts(run)
    first, third = Path("data/test-0.png"), Path("data/test-2.png")
    first_bytes = first.read_bytes()
    first.write_bytes(third.read_bytes())
    third.write_bytes(first_bytes)

    outcome = texlens("compare", run, "--json")

    assert texts(run)["test-0"] == before["test-2"] != before["test-0"]
    assert outcome.json["systems"]["adapter"]["scores"]["exact_match"]["value"] == 0.0
    assert (run / "predictions/previous/test.adapter.1.jsonl").is_file()


@pytest.mark.parametrize("field", [{"prompt": "Write it."}, {"system": "You write."}, {"domain": "hand"}])
def test_a_changed_row_is_measured_again(run, texlens, field):
    lines = [json.loads(line) for line in Path("data/test.jsonl").read_text().splitlines()]
    Path("data/test.jsonl").write_text("\n".join(json.dumps({**row, **field}) for row in lines) + "\n")
    key = json.loads((run / "predictions/test.adapter.json").read_text())

    assert texlens("compare", run).code == 0
    assert json.loads((run / "predictions/test.adapter.json").read_text())["rows"] != key["rows"]


def test_nothing_is_read_again_where_nothing_changed(run, texlens, monkeypatch):
    monkeypatch.setattr("texlens.evaluation.predict.read_samples", None)
    assert texlens("compare", run).code == 0


def test_other_data_and_other_settings_replace_no_result(run, texlens):
    names = ("predictions/test.adapter.jsonl", "scores/compare.test.json", "scores/test.adapter.json", "report.html")
    before = [(run / name).read_bytes() for name in names]
    shutil.copytree("data", "other")
    Path("other/test.jsonl").write_text(Path("data/train.jsonl").read_text())

    other = texlens("compare", run, "--set", "data.path=other", "--json").json
    fewer = texlens("compare", run, "--set", "evaluate.max_rows=2", "--json").json
    texlens("evaluate", run, "--data", "other")

    assert [(run / name).read_bytes() for name in names] == before
    assert (other["data"]["path"], other["rows"]) == (os.path.abspath("other"), 4)
    assert (run / f"report.{other['label']}.html").is_file()
    assert (fewer["data"]["max_rows"], fewer["rows"]) == (2, 2)


def test_runs_lists_every_result_with_its_data_and_rows(run, texlens):
    shutil.copytree("data", "other")
    texlens("compare", run, "--set", "data.path=other")

    (row,) = texlens("runs", "--json").json["runs"]
    measured_on = [(os.path.basename(result["data"]["path"]), result["rows"]) for result in row["results"]]
    assert measured_on == [("data", 4), ("other", 4)]
    assert row["scores"] == {"base": 0.5, "adapter": 0.5}
    table = texlens("runs").out
    assert "data" in table
    assert "other" in table


def test_run_finds_its_relative_data_from_any_folder(run, texlens, tmp_path, monkeypatch):
    before = texlens("evaluate", run, "--json").json
    monkeypatch.chdir(tmp_path)
    assert texlens("evaluate", tmp_path / "work" / run, "--json").json["scores"] == before["scores"]


def test_the_claim_is_computed_and_is_in_terminal_report_and_json(run, texlens):
    sentence = "none of 4 rows shares an image or a label with train"
    assert sentence in texlens("compare", run).out
    assert sentence in (run / "report.html").read_text()
    assert texlens("compare", run, "--json").json["train_overlap"]["sentence"] == sentence


def test_rows_that_were_trained_on_are_said_so(run, texlens):
    outcome = texlens("compare", run, "--set", "data.splits.test=train")
    assert "4 of 4 rows share an image or a label with train (4 an image, 4 a label)" in outcome.out
    assert "never" not in outcome.out


def test_a_rejected_row_counts_in_its_own_domain(run, texlens):
    lines = [json.loads(line) for line in Path("data/test.jsonl").read_text().splitlines()]
    domains = ["print", "print", "hand", "hand"]
    rows = [{**row, "domain": domain} for row, domain in zip(lines, domains, strict=True)]
    Path("data/test.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")

    domains = texlens("compare", run, "--json").json["domains"]
    assert {name: part["rows"] for name, part in domains.items()} == {"hand": 2, "print": 2}
    assert domains["hand"]["systems"]["adapter"]["scores"]["exact_match"]["value"] == 0.5
