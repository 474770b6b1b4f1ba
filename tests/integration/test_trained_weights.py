"""A checkpoint, `--checkpoint` and an adapter folder are taken wherever a run is: read, evaluate, compare, export,
serve, ui. And a training that its time limit ends leaves a checkpoint and a comparison."""

import json
import shutil
from pathlib import Path

import pytest

from texlens.latex.render.formats import render_png

NAMES = {
    "checkpoint": "tiny-checkpoint-2",
    "latest": "tiny-checkpoint-2",
    "number": "tiny-checkpoint-2",
    "best": "tiny",
}


@pytest.fixture(params=["checkpoint", "latest", "number", "best", "adapter", "copied adapter"])
def weights(request, trained, tmp_path) -> tuple[str, list[str], str]:
    """What is named, the options with it, and what the model is called."""
    kind = request.param
    if kind == "checkpoint":
        return str(trained / "checkpoints/checkpoint-2"), [], NAMES[kind]
    if kind == "adapter":
        return str(trained / "adapter"), [], "tiny"
    if kind == "copied adapter":
        return str(shutil.copytree(trained / "adapter", tmp_path / "mine")), [], "mine"
    return str(trained), ["--checkpoint", {"number": "2"}.get(kind, kind)], NAMES[kind]


@pytest.fixture
def image(tmp_path) -> Path:
    path = tmp_path / "formula.png"
    path.write_bytes(render_png("x ^ { 2 }"))
    return path


def done(outcome) -> str:
    assert outcome.code == 0, outcome.err
    return outcome.out


def test_they_read(weights, image, texlens):
    model, options, _ = weights
    outcome = texlens("read", image, "--model", model, *options, "--max-tokens", "4", "--json")
    assert outcome.code in (0, 3), outcome.err
    assert outcome.code == 0 or "cut at the token limit" in outcome.err


def test_they_are_evaluated(weights, texlens, hub_layout):
    model, options, name = weights
    data = ["--data", hub_layout] if name == "mine" else []
    output = json.loads(done(texlens("evaluate", model, *options, *data, "--json")))
    assert output["scores"]["exact_match"]["low"] <= output["scores"]["exact_match"]["value"]


def test_they_are_compared(weights, trained, texlens):
    model, options, name = weights
    arguments = [trained, model] if name == "mine" else [model, *options]
    output = json.loads(done(texlens("compare", *arguments, "--json")))
    assert {"base", "adapter"} <= set(output["systems"])
    assert ("mine" in output["systems"]) == (name == "mine")


def test_they_are_exported(weights, texlens, tmp_path):
    model, options, name = weights
    if name == "mine":
        pytest.skip("an adapter without its run has no rows to verify an export on")
    done(texlens("export", model, *options, "--format", "adapter", "-o", tmp_path / "out", "--rows", "2"))
    assert (tmp_path / "out/adapter_model.safetensors").is_file()


@pytest.mark.parametrize("command", ["serve", "ui"])
def test_they_are_served(command, weights, texlens, monkeypatch):
    monkeypatch.setattr("texlens.serve.server.serve", lambda *_: None)
    model, options, name = weights
    more = ["--no-browser"] if command == "ui" else []
    outcome = texlens(command, model, *options, "--port", "0", *more)
    assert outcome.code == 0, outcome.err
    assert f"with {name}" in outcome.err or f"serving {name}" in outcome.err


def test_a_training_that_its_time_ends_leaves_a_checkpoint_and_a_comparison(run_file, texlens, tmp_path):
    changes = ("--set", "train.steps=100", "--set", "train.minutes=0.00001")
    output = json.loads(done(texlens("train", run_file, *changes, "--json")))
    assert output["training"]["steps"] == 1
    assert (tmp_path / "runs/tiny/checkpoints/checkpoint-1").is_dir()
    assert set(output["comparison"]["systems"]) == {"base", "adapter"}
    assert Path(output["report"]).is_file()


def test_steps_on_a_run_file_with_epochs_win_and_say_so(run_file, texlens):
    run_file.write_text(run_file.read_text().replace("steps: 2", "epochs: 3"))
    outcome = texlens("train", run_file, "--set", "train.steps=1", "--no-compare", "--json")
    assert json.loads(done(outcome))["training"]["steps"] == 1
    assert f"--set: train.epochs of {run_file} is replaced" in outcome.err
