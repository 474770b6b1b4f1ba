"""A run folder of version 0.1 (tests/fixtures/run_0_1, on a tiny base of its own) is read, compared and resumed."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from texlens.config.load import load_saved_config

FIXTURE = Path(__file__).parents[1] / "fixtures" / "run_0_1"


@pytest.fixture
def old_run(tmp_path, monkeypatch) -> Path:
    """A copy of the run, in a working folder where its relative paths hold."""
    shutil.copytree(FIXTURE, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return Path("runs/nano")


def test_settings_are_read_under_their_new_names_without_a_note(old_run, capsys):
    config = load_saved_config(old_run / "config.yaml")
    assert config.data.prompt == "Transcribe the LaTeX of this image."
    assert config.data.augment.rotate_degrees == 1.0
    assert config.evaluate.max_rows == 4
    assert config.base.quantize == "none"
    assert capsys.readouterr().err == ""


def test_run_is_listed_with_its_scores(old_run, texlens):
    (row,) = texlens("runs", "--json").json["runs"]
    assert (row["run"], row["state"], row["steps"]) == ("runs/nano", "trained", 4)
    assert row["scores"] == {"base": 0.5, "adapter": 0.5}


def test_evaluation_gives_the_scores_of_the_version_before(old_run, texlens):
    before = json.loads((old_run / "scores" / "test.adapter.json").read_text())
    now = texlens("evaluate", old_run, "--json").json
    assert (now["rows"], now["failed"]) == (4, 1)
    assert {name: now["scores"][name] for name in ("exact_match", "cdm_f1", "bleu4")} == {
        name: before["scores"][name] for name in ("exact_match", "cdm_f1", "bleu4")
    }


def test_comparison_and_report_are_written_again(old_run, texlens):
    before = json.loads((old_run / "scores" / "compare.test.json").read_text())
    (old_run / "report.html").unlink()
    now = texlens("compare", old_run, "--json").json
    pair, pair_before = now["paired"]["adapter_vs_base"], before["paired"]["adapter_vs_base"]
    differences, differences_before = pair.pop("differences"), pair_before.pop("differences")
    assert {key: pair[key] for key in pair_before} == pair_before
    assert {name: differences[name] for name in differences_before if name in differences} == {
        name: value for name, value in differences_before.items() if name in differences
    }
    assert len(differences_before.keys() & differences.keys()) >= 17
    assert now["train_overlap"]["either"] == 0
    assert (old_run / "report.html").is_file()


def test_report_is_written_from_the_old_predictions(old_run, texlens):
    (old_run / "report.html").unlink()
    assert texlens("report", old_run).code == 0
    assert (old_run / "report.html").is_file()


def test_training_resumes_from_an_old_checkpoint_to_the_same_weights(old_run, texlens):
    before = load_file(old_run / "checkpoints" / "checkpoint-4" / "adapter_model.safetensors")
    shutil.rmtree(old_run / "checkpoints" / "checkpoint-4")
    outcome = texlens("train", "--resume", old_run, "--no-compare")
    assert outcome.code == 0, outcome.err
    after = load_file(old_run / "checkpoints" / "checkpoint-4" / "adapter_model.safetensors")
    assert before.keys() == after.keys()
    for name, weight in before.items():
        # One unit of float32's last place at most: fused kernels add in another order than those of that version.
        torch.testing.assert_close(after[name], weight, rtol=0, atol=1e-8)


def test_image_is_read_with_the_old_adapter(old_run, texlens):
    outcome = texlens("read", "data/test-0.png", "--model", old_run)
    assert outcome.code == 0, outcome.err
    assert outcome.out.split() == ["z", "-", "1"]
