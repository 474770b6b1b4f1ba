"""What training guarantees, on tiny and nano models: seeded losses, accumulation, resume, stock loading."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from tests.fixtures.thorough import IS_THOROUGH
from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.fixtures.training import CONSOLE, losses, run_training, same_weights
from texlens.config.load import build_config
from texlens.core.run_folder import RunFolder
from texlens.data.load import load_split
from texlens.training import build

SETTINGS = {
    "data": {"path": "demo", "limit": 12, "splits": {"validation": None}},
    "adapter": {"rank": 4, "alpha": 8, "dropout": 0.1, "targets": ["all-linear"]},
    "train": {"steps": 6, "batch_size": 2, "checkpoints": {"every_steps": 2}, "logging": {"every_steps": 1}},
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_checkpoint(folder, "qwen3_vl")
    return folder


def settings(checkpoint: Path, output: Path, **train_changes) -> dict:
    values = {**SETTINGS, "name": "run", "output": str(output), "model": {"path": str(checkpoint)}}
    return {**values, "train": {**SETTINGS["train"], **train_changes}}


def run(checkpoint: Path, output: Path, **train_changes) -> RunFolder:
    config = build_config(settings(checkpoint, output, **train_changes))
    folder = RunFolder.create(output, "run")
    run_training(config, folder)
    return folder


def adapter(folder: RunFolder) -> dict[str, torch.Tensor]:
    return load_file(folder.adapter / "adapter_model.safetensors")


def test_the_same_seed_gives_the_same_losses_and_weights(tiny, tmp_path):
    first, second = run(tiny, tmp_path), run(tiny, tmp_path)
    other = run(tiny, tmp_path, seed=1)
    assert losses(first) == losses(second) != losses(other)
    assert len(losses(first)) == 6
    assert same_weights(adapter(first), adapter(second))


def test_accumulating_four_times_two_equals_a_batch_of_eight(tiny, tmp_path):
    """The same rows in one step: same loss, and gradients that make the same weights and gradient norm."""
    no_dropout = {"adapter": {**SETTINGS["adapter"], "dropout": 0.0}}
    folders = []
    for batch_size, accumulation in ((8, 1), (2, 4)):
        values = (
            settings(tiny, tmp_path, steps=3, batch_size=batch_size, gradient_accumulation=accumulation) | no_dropout
        )
        config = build_config(values)
        folder = RunFolder.create(tmp_path, "run")
        run_training(config, folder)
        folders.append(folder)
    whole, parts = ([row for row in folder.history() if "loss" in row] for folder in folders)
    assert [row["loss"] for row in parts] == pytest.approx([row["loss"] for row in whole], rel=1e-6)
    assert [row["grad_norm"] for row in parts] == pytest.approx([row["grad_norm"] for row in whole], rel=1e-4)


def test_gradient_checkpointing_changes_no_loss(tiny, tmp_path):
    plain, recomputed = run(tiny, tmp_path), run(tiny, tmp_path, compute={"gradient_checkpointing": True})
    assert losses(recomputed) == pytest.approx(losses(plain), rel=1e-5)


def start(config_path: Path, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "texlens", "train", *options, "--no-compare"]
    arguments = [str(config_path)] if config_path.suffix == ".yaml" else ["--resume", str(config_path)]
    return subprocess.Popen([*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_killed_and_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tiny, tmp_path):
    config = tmp_path / "run.yaml"
    values = settings(tiny, tmp_path / "killed", steps=40, checkpoints={"every_steps": 5, "keep": 2})
    config.write_text(json.dumps(values))
    process = start(config)
    folder = tmp_path / "killed/run"
    deadline = time.monotonic() + 300
    while not list((folder / "checkpoints").glob("checkpoint-1[05]")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert RunFolder.open(folder).manifest["state"] == "training"

    resumed = start(folder)
    _, stderr = resumed.communicate(timeout=240)
    assert resumed.returncode == 0, stderr
    whole = run(tiny, tmp_path / "whole", **values["train"])
    assert same_weights(adapter(RunFolder(folder)), adapter(whole))
    assert losses(RunFolder(folder)) == losses(whole)


def test_damaged_checkpoint_is_reported_and_the_one_before_it_is_used(tiny, tmp_path):
    folder = run(tiny, tmp_path)
    expected = adapter(folder)
    (folder.checkpoints / "checkpoint-6/optimizer.safetensors").write_bytes(b"cut short")
    messages = []
    config = build_config(settings(tiny, tmp_path))

    class RecordingConsole(Console):
        def print(self, *objects, **options):
            messages.append(" ".join(map(str, objects)))

    run_training(config, folder, resume=True, console=RecordingConsole(file=CONSOLE.file))
    assert any("checkpoint-6" in line and "has changed" in line for line in messages)
    assert same_weights(adapter(folder), expected)


def test_checkpoints_contain_only_safetensors_and_json(tiny, tmp_path):
    folder = run(tiny, tmp_path)
    kinds = {path.suffix for path in folder.path.rglob("*") if path.is_file() and path.name != ".lock"}
    assert kinds <= {".safetensors", ".json", ".jsonl", ".yaml", ".png", ".jinja", ".txt"}
    assert sorted(path.name for path in folder.checkpoints.glob("checkpoint-*")) == ["checkpoint-4", "checkpoint-6"]


def test_validation_keeps_the_best_adapter_and_stops_early(tiny, tmp_path):
    values = settings(
        tiny, tmp_path, steps=20, validation={"every_steps": 2, "early_stopping_patience": 2, "generation_rows": 2}
    )
    values["data"] = {"path": "demo", "limit": 8}
    values["train"]["optimizer"] = {"learning_rate": 1e-12}
    values["evaluate"] = {"max_new_tokens": 4}
    config = build_config(values)
    folder = RunFolder.create(tmp_path, "run")
    results = run_training(config, folder)
    measured = [row for row in folder.history() if "eval_loss" in row]
    best = min(measured, key=lambda row: row["eval_loss"])
    assert results["steps"] < 20
    assert (results["best_step"], results["best_metric"]) == (best["step"], pytest.approx(best["eval_loss"], rel=1e-6))
    assert all("eval_exact_match" in row for row in measured)


def test_best_adapter_can_be_chosen_by_any_measured_score(tiny, tmp_path, monkeypatch):
    """With fixed scores: the second measurement is the best, since lower is better."""
    values = settings(
        tiny,
        tmp_path,
        steps=6,
        validation={
            "every_steps": 2,
            "generation_rows": 2,
            "metrics": ["character_error_rate"],
            "best_by": "character_error_rate",
        },
    )
    values["data"] = {"path": "demo", "limit": 8}
    values["evaluate"] = {"max_new_tokens": 4}
    config = build_config(values)
    folder = RunFolder.create(tmp_path, "run")
    values = iter([0.5, 0.25, 0.75])
    monkeypatch.setattr(build.Scorer, "__call__", lambda *_: {"character_error_rate": next(values)})
    results = run_training(config, folder)
    name = "eval_character_error_rate"
    assert [row[name] for row in folder.history() if name in row] == [0.5, 0.25, 0.75]
    assert (results["best_step"], results["best_metric"]) == (4, 0.25)


@pytest.mark.slow
def test_adapter_loads_with_stock_transformers_and_peft_and_reads_the_same(tmp_path):
    """A clean process without texlens: same greedy text as our own reading, on 8 rows; on 20 with THOROUGH=1."""
    from texlens.adapters.lora import load_adapter
    from texlens.config.model import ModelSettings
    from texlens.inference.open import wrap_model
    from texlens.models.build import build_base, build_model
    from texlens.models.bundled import NANO_FOLDER

    values = settings(Path("nano"), tmp_path, steps=4, batch_size=8, optimizer={"learning_rate": 2e-3})
    config = build_config({**values, "data": {**values["data"], "limit": 64}})
    folder = RunFolder.create(tmp_path, "run")
    run_training(config, folder)

    samples = list(load_split("demo", split="test"))[: 20 if IS_THOROUGH else 8]
    base = build_base(ModelSettings(path="nano"))
    model = load_adapter(build_model(base, ModelSettings(path="nano")), folder.adapter, fingerprint=base.fingerprint)
    predictions = wrap_model(model, base.processor, prompt=config.data.prompt, max_new_tokens=48).read(samples)
    for number, sample in enumerate(samples):
        sample.image.load().save(tmp_path / f"{number:02}.png")
    script = Path(__file__).parent / "stock_reading.py"
    done = subprocess.run(
        [sys.executable, script, NANO_FOLDER, folder.adapter, tmp_path, config.data.prompt],
        capture_output=True,
        text=True,
        check=True,
    )
    texts = json.loads(done.stdout.splitlines()[-1])
    assert texts == [prediction.text for prediction in predictions]
    assert len(set(texts)) > len(samples) / 2
