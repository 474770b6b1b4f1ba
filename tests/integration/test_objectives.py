"""Runs of every objective: adapters of each kind, a resumed run's weights, what is logged, and whose code may run."""

import json
import os
import shutil
import subprocess
from contextlib import nullcontext
from unittest.mock import Mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.fixtures.training import losses, run_training, same_weights
from tests.integration import objective_runs
from tests.integration.conftest import IMAGE, LABELS, render_png
from tests.integration.objective_runs import OBJECTIVES, TOGETHER, config_of, run_together
from tests.integration.test_distributed import LAUNCHER, ROOT, WITHOUT_GPU, close, weights
from tests.integration.test_training import adapter
from texlens.config.load import dump_config
from texlens.core.errors import DataError, RunError
from texlens.core.files import write_text
from texlens.core.run_folder import RunFolder
from texlens.training.checkpoints.folder import list_checkpoints
from texlens.training.objectives.rollouts import RolloutMaker


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Six train and two validation rows with a column `rejected`."""
    folder = tmp_path_factory.mktemp("pairs")
    for split, labels in (("train", LABELS[:6]), ("validation", LABELS[6:8])):
        data = [{"bytes": render_png(label), "path": None} for label in labels]
        rejected = [f"{label} + 1" for label in labels]
        table = pa.table({"image": pa.array(data, IMAGE), "text": labels, "rejected": rejected})
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    return folder


def run(config, tmp_path):
    folder = RunFolder.create(tmp_path, "run", dump_config(config))
    run_training(config, folder)
    return folder


ALL = os.environ.get("OBJECTIVES") == "1"


@pytest.mark.parametrize("kind", OBJECTIVES if ALL else ["grpo"])
def test_a_resumed_run_ends_with_the_weights_and_measurements_of_one_without_a_stop(
    kind, tiny_checkpoints, rows, tmp_path
):
    config = config_of(tiny_checkpoints["qwen3_vl"], tmp_path, rows, OBJECTIVES[kind])
    folder = run(config, tmp_path)
    expected, history = adapter(folder), folder.history()
    shutil.rmtree(list_checkpoints(folder.checkpoints)[-1])
    shutil.rmtree(folder.adapter)
    folder.update(state="training")
    run_training(config, folder, resume=True)
    assert same_weights(adapter(folder), expected)
    assert [_untimed(row) for row in folder.history()] == [_untimed(row) for row in history]
    assert len(losses(folder)) == 2


def test_a_resumed_run_that_goes_on_from_weights_trained_in_full_compares_with_them(tiny_checkpoints, rows, tmp_path):
    full = {"kind": "full", "targets": ["text-mlp"]}
    before = run(config_of(tiny_checkpoints["qwen3_vl"], tmp_path / "before", rows, "sft", full), tmp_path / "before")
    config = config_of(
        tiny_checkpoints["qwen3_vl"], tmp_path, rows, OBJECTIVES["dpo"], {**full, "from": str(before.path)}
    )
    folder = run(config, tmp_path)
    history = folder.history()
    assert history[0]["objective_margin"] == pytest.approx(0, abs=1e-5)
    shutil.rmtree(list_checkpoints(folder.checkpoints)[-1])
    folder.update(state="training")
    run_training(config, folder, resume=True)
    assert [_untimed(row) for row in folder.history()] == [_untimed(row) for row in history]


@pytest.fixture(scope="module")
def together(tiny_checkpoints, rows, tmp_path_factory):
    """Folders of the same runs by one process and by two."""
    checkpoint, folders = tiny_checkpoints["qwen3_vl"], [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    run_together(checkpoint, rows, folders[0])
    command = [*LAUNCHER, objective_runs.__file__, checkpoint, rows, folders[1]]
    environment = {**WITHOUT_GPU, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    return folders


@pytest.mark.skipif(not ALL, reason="runs with OBJECTIVES=1")
@pytest.mark.parametrize("name", TOGETHER)
def test_two_processes_give_the_losses_and_weights_of_a_single_one(name, together):
    single, both = (folder / name.replace(" ", "-") for folder in together)
    assert losses(RunFolder(both)) == pytest.approx(losses(RunFolder(single)), rel=1e-4, abs=1e-6)
    assert close(weights(both, "adapter"), weights(single, "adapter"), 2e-5)
    first, second = ([_measured(row) for row in RunFolder(folder).history()] for folder in (single, both))
    assert first == [pytest.approx(row, rel=1e-3, abs=1e-5) for row in second]


def _measured(row):
    return {name: value for name, value in _untimed(row).items() if name.startswith("objective_")}


def _untimed(row):
    return {name: value for name, value in row.items() if not name.endswith(("_s", "_gib"))}


ADAPTERS = {
    "moe-lora": {"kind": "moe-lora", "experts": 2, "rank": 2, "alpha": 4},
    "full": {"kind": "full", "targets": ["text-mlp"]},
    "pissa": {"kind": "lora", "rank": 2, "alpha": 4, "init": "pissa"},
}


@pytest.mark.parametrize("kind", ["dpo", "grpo"] if ALL else ["dpo"])
@pytest.mark.parametrize("form", ADAPTERS if ALL else ["pissa"])
def test_every_kind_of_adapter_starts_from_what_it_is_compared_with(form, kind, tiny_checkpoints, rows, tmp_path):
    config = config_of(tiny_checkpoints["qwen3_vl"], tmp_path, rows, OBJECTIVES[kind], ADAPTERS[form])
    first = run(config, tmp_path).history()[0]
    if kind == "dpo":
        assert first["objective_margin"] == pytest.approx(0, abs=1e-5)
    else:
        assert first["objective_kl"] == pytest.approx(0, abs=1e-6)
        assert first["objective_drawn_gap"] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("fails", [False, True])
def test_engine_and_reward_processes_end_with_the_training(fails, tiny_checkpoints, rows, tmp_path, monkeypatch):
    closed = []
    monkeypatch.setattr(RolloutMaker, "close", lambda self: closed.append(self))
    if fails:
        monkeypatch.setattr(RolloutMaker, "__call__", Mock(side_effect=RunError("no answers")))
    with pytest.raises(RunError, match="no answers") if fails else nullcontext():
        run(config_of(tiny_checkpoints["qwen3_vl"], tmp_path, rows, OBJECTIVES["grpo"]), tmp_path)
    assert len(closed) == 1


def test_grpo_logs_rewards_watched_scores_and_rollouts(tiny_checkpoints, rows, tmp_path):
    folder = run(config_of(tiny_checkpoints["qwen3_vl"], tmp_path, rows, OBJECTIVES["grpo"]), tmp_path)
    first = folder.history()[0]
    for name in ("reward", "reward_spread", "flat_groups", "entropy", "answer_tokens", "clip_share", "kl", "reading_s"):
        assert f"objective_{name}" in first
    assert {"objective_score_edit_similarity", "objective_score_exact", "objective_score_valid"} <= first.keys()
    lines = [json.loads(line) for line in (folder.path / "rollouts.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 1, 1, 2, 2, 2]
    assert len(lines[0]["answers"]) == 3
    assert {"text", "stop", "tokens", "reward", "scores", "advantage"} == lines[0]["answers"][0].keys()


def test_validation_of_preferences_is_their_loss_and_accuracy(tiny_checkpoints, rows, tmp_path):
    model = tiny_checkpoints["qwen3_vl"]
    config = config_of(model, tmp_path, rows, "dpo", validation="validation")
    folder = run(config, tmp_path)
    measured = [row for row in folder.history() if "eval_loss" in row]
    assert 0 <= measured[0]["eval_objective_accuracy"] <= 1
    assert measured[0]["eval_loss"] > 0


def test_rows_without_pairs_are_refused_before_training(tiny_checkpoints, hub_layout, tmp_path):
    config = config_of(tiny_checkpoints["qwen3_vl"], tmp_path, hub_layout, "dpo")
    with pytest.raises(DataError, match=r"no row has a column 'rejected'; `texlens data preferences RUN`"):
        run(config, tmp_path)


def test_a_run_folder_that_names_code_is_refused(tiny_checkpoints, rows, tmp_path, texlens):
    folder = run(config_of(tiny_checkpoints["qwen3_vl"], tmp_path, rows, OBJECTIVES["grpo"]), tmp_path)
    (tmp_path / "planted.py").write_text("open('ran', 'w')\ndef score(text, reference):\n    return 1.0\n")
    values = yaml.safe_load(folder.config.read_text())
    values["train"]["objective"]["rewards"] = {"planted:score": 1.0}
    write_text(folder.config, yaml.safe_dump(values))
    done = texlens("train", "--resume", folder.path, "--no-compare")
    assert done.code == 2
    assert "'planted:score' names code" in done.err
    assert not (tmp_path / "ran").exists()


def test_own_rewards_are_named_in_the_run_and_asked_for_again(tiny_checkpoints, rows, tmp_path, texlens, monkeypatch):
    (tmp_path / "own_shortness.py").write_text("def score(text, reference):\n    return -len(text)\n")
    monkeypatch.chdir(tmp_path)
    config = config_of(tiny_checkpoints["qwen3_vl"], tmp_path, rows, OBJECTIVES["grpo"])
    write_text(tmp_path / "run.yaml", dump_config(config))
    started = texlens("train", tmp_path / "run.yaml", "--reward", "own_shortness:score=0.5", "--no-compare")
    assert started.code == 0, started.err
    folder = RunFolder.open(tmp_path / "run")
    assert folder.manifest["own_rewards"] == {"own_shortness:score": 0.5}
    assert "objective_score_own_shortness:score" in folder.history()[0]
    shutil.rmtree(list_checkpoints(folder.checkpoints)[-1])
    with pytest.raises(RunError, match=r"--reward: \{'own_shortness:score': 0\.5\} -> none"):
        run_training(config, folder, resume=True)


def test_own_rewards_need_an_objective_that_uses_them(texlens):
    done = texlens("train", "nano_latex-ocr_lora", "--reward", "json:dumps")
    assert done.code == 2
    assert "--reward json:dumps: objective sft has no rewards" in done.err
