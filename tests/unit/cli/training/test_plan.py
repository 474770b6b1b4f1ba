import json
from pathlib import Path

from typer.testing import CliRunner

from texlens.cli.main import app
from texlens.config.load import load_config

RECIPE = Path(__file__).parents[4] / "src" / "texlens" / "recipes" / "nano_latex-ocr_lora.yaml"


def test_a_gpu_adds_memory_time_and_a_verdict(tmp_path):
    written = tmp_path / "fitted.yaml"
    result = CliRunner().invoke(app, ["plan", str(RECIPE), "--gpu", "rtx3060-12g", "--fit", str(written), "--json"])
    assert result.exit_code == 0
    plan = json.loads(result.stdout)
    assert plan["on_gpu"]["fits"] is True
    assert plan["on_gpu"]["memory"]["total_gib"] < 11.6
    assert plan["on_gpu"]["change"] == {}
    assert load_config(written).name == "nano"


def test_the_table_ends_in_a_verdict():
    result = CliRunner().invoke(app, ["plan", str(RECIPE), "--gpu", "t4"])
    assert "frozen weights" in result.stdout
    assert "of 14.6 GiB, backend plain" in result.stdout


def test_fit_without_a_gpu_is_refused(capsys):
    result = CliRunner().invoke(app, ["plan", str(RECIPE), "--fit", "out.yaml"])
    assert "--fit needs a GPU" in str(result.exception)


def test_without_a_gpu_the_plan_says_what_this_cpu_takes(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    plan = json.loads(CliRunner().invoke(app, ["plan", str(RECIPE), "--json"]).stdout)
    assert plan["on_cpu"]["rows_per_s"] > 0
    assert plan["on_cpu"]["evaluation"]["rows"] == 260
    shown = CliRunner().invoke(app, ["plan", str(RECIPE)]).stdout
    assert "on this CPU: about" in shown
    assert "to read 260 test rows with base and adapter" in shown


def test_several_gpus_of_a_named_kind_share_a_step():
    result = CliRunner().invoke(app, ["plan", str(RECIPE), "--gpu", "h20", "--gpus", "2", "--json"])
    plan = json.loads(result.stdout)["on_gpu"]
    assert (plan["gpu"]["title"], plan["gpus"], plan["fits"]) == ("NVIDIA H20", 2, True)
    assert plan["sharing"]["weights"] == "replicate"
    assert plan["sharing"]["reducing_s"] > 0
    assert plan["evaluation"]["rows"] == 260


def test_divided_weights_are_planned_for_each_gpu_with_the_time_of_communication():
    sharded = ["--set", "train.parallel.weights=shard"]
    shown = CliRunner().invoke(app, ["plan", str(RECIPE), "--gpu", "h20", "--gpus", "2", *sharded]).stdout
    shown = " ".join(shown.split())
    assert "GiB on each of 2 GPUs, backend packed" in shown
    assert "weights: shard, experts: replicate; each of 2 GPUs communicates" in shown
    assert "next to the computation; exchanging 0; reducing 0)" in shown
