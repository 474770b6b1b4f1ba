"""Every command that `--help` and the README print is run, and `--json` prints one object and nothing else."""

import glob
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from rich.console import Console

from tests.integration.conftest import RECIPES, SMALL_TRAINING, copy_run, environment
from tests.integration.printed import make_inputs, printed_in_help, printed_in_readmes
from texlens.cli.main import app
from texlens.core.cache import cache_folder
from texlens.latex.parse.tokens import canonical_spacing
from texlens.latex.render.formats import render_png
from texlens.models.bundled import bundled_names
from texlens.models.families import FAMILIES
from texlens.workflows.cpu_probe import cpu_rates

SCORES = {
    *("exact_match", "within_1", "within_2", "edit_similarity", "bleu4", "rouge_l", "length_limit", "repetition"),
}
NEEDS = {
    "a hub": ("models download", "linxy/LaTeX_OCR", "modelscope:"),
    "a large checkpoint, or a run of one": ("model.path=/models/", "--model /models/", "runs/qwen3-"),
    "to be stopped; tests/integration/test_serving.py, test_page.py and board run it": (
        *("texlens serve", "texlens ui", "texlens board"),
    ),
    "a public test set; tests/unit/evaluation/suite runs it": ("--suite",),
    "corrections by a person; tests/integration/test_learn.py runs it": ("photos --corr", "photos/learn/"),
    "many samples of a row; tests/unit/workflows/preferences runs it": ("data best-of-n", "data preferences"),
    "more validation rows; tests/integration/test_serving.py runs it": ("texlens calibrate",),
    "bitsandbytes; tests/unit/exporting runs it": ("nano-nf4",),
    "a second sweep; tests/unit/workflows/sweep runs it": ("--by exact_match",),
    "an export and predictions of these rows; tests/integration/test_compare_systems.py runs it": (
        "exported/nano nano",
    ),
}
"""Why some printed commands are not run here, by a part of their line."""
SMALL = {
    "train": SMALL_TRAINING,
    "sweep": "--set train.steps=2 --set train.batch_size=2 --set data.limit=8 --set data.splits.validation=0.02",
    "plan": "--set data.path=demo --set data.subset=null",
    "data synth": "--n 4 --processes 1",
    "export": "--rows 2",
}
"""What is added to a printed command so that it takes seconds and no network."""


PRINTED = sorted({*printed_in_help(), *printed_in_readmes()})


@pytest.fixture(scope="session")
def measured_cpu() -> Path:
    """This CPU's rates, which take seconds to measure, in the cache that all tests share."""
    cpu_rates(Console(quiet=True))
    return cache_folder() / "cpu-rates.json"


@pytest.fixture
def workplace(nano_run, measured_cpu, tmp_path, monkeypatch) -> Path:
    """A folder with what every printed command takes for granted: recipes, a finished run and a measured CPU."""
    (tmp_path / "cache").mkdir()
    shutil.copy(measured_cpu, tmp_path / "cache")
    (tmp_path / "recipes").symlink_to(RECIPES)
    copy_run(nano_run, tmp_path / "runs/nano")
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/run").symlink_to(tmp_path / "runs/nano")
    monkeypatch.setenv("TEXLENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_has_an_example_in_its_help():
    group = typer.main.get_command(app)
    names = [
        f"{name} {inner}".strip()
        for name, command in group.commands.items()
        for inner in getattr(command, "commands", [""])
    ]
    assert len(names) >= 10
    shown = list(printed_in_help())
    assert [name for name in names if not any(f"{line} ".startswith(f"texlens {name} ") for line in shown)] == []


@pytest.mark.slow
@pytest.mark.parametrize("line", PRINTED)
def test_a_printed_command_works(line, texlens, workplace):
    needs = next((reason for reason, parts in NEEDS.items() if any(part in line for part in parts)), None)
    if needs:
        pytest.skip(f"needs {needs}")
    words = shlex.split(line)[1:]
    make_inputs(words)
    arguments = [argument for word in words for argument in (sorted(glob.glob(word)) or [word])]
    if "--resume" not in arguments:
        arguments += shlex.split(SMALL.get(" ".join(arguments[:2]), SMALL.get(arguments[0], "")))

    done = texlens(*arguments)

    assert done.code == 0, done.err
    assert done.out.strip()
    if "--json" in arguments:
        assert isinstance(done.json, dict)


def check_scores(output: dict) -> None:
    assert set(output["scores"]) >= SCORES
    for name in SCORES:
        score = output["scores"][name]
        assert 0 <= score["low"] <= score["value"] <= score["high"] <= 1, name


def test_plan_of_4b_with_rank_8_counts_the_published_parameters_offline(texlens):
    recipe = RECIPES / "qwen3-vl-4b_latex-ocr_qlora-8gb.yaml"
    demo = ("--set", "data.path=demo", "--set", "data.subset=null")
    output = texlens("plan", recipe, *demo, "--json").json

    assert output["parameters"]["trainable"] == 5_898_240
    assert output["parameters"]["total"] == 4_443_714_048
    assert output["coverage"][0] == {"group": "text-attention", "matched": 144, "total": 144, "parameters": 5_898_240}
    assert output["tokens"]["rows"] == 496
    assert output["steps"] == 5 * 62

    shown = texlens("plan", recipe, *demo).out
    assert "5,898,240 trainable of 4,443,714,048 parameters" in shown


def test_plan_without_a_network_reports_the_parameters_and_what_it_can_not_know(texlens, monkeypatch):
    def unreachable(*_, **__):
        raise ConnectionError("no network")

    monkeypatch.setattr("texlens.data.readers.hub._answers", lambda path: True)
    monkeypatch.setattr("datasets.load_dataset", unreachable)
    output = texlens("plan", RECIPES / "qwen3-vl-30b-a3b_latex-ocr_lora.yaml", "--json").json

    assert output["parameters"]["trainable"] > 0
    assert output["tokens"] is None
    assert output["steps"] is None
    assert "tokens and steps are unknown: linxy/LaTeX_OCR: no network" in output["notes"][0]


def test_train_as_json(texlens, run_file, tmp_path):
    output = texlens("train", run_file, "--json").json

    assert output["run"] == str(tmp_path / "runs/tiny")
    assert output["training"]["steps"] == 2
    assert Path(output["report"]).is_file()
    for system in ("base", "adapter"):
        check_scores(output["comparison"]["systems"][system])


def test_train_without_comparison_needs_no_test_split(texlens, run_file, tmp_path):
    output = texlens("train", run_file, "--no-compare", "--json", "--set", "data.splits.test=none").json

    assert set(output) == {"run", "training"}
    assert not (tmp_path / "runs/tiny/report.html").exists()


def test_evaluate_as_json(texlens, trained):
    for system in ("adapter", "base"):
        output = texlens("evaluate", trained, "--split", "validation", "--system", system, "--json").json

        assert output["rows"] == 3
        assert (output["split"], output["system"]) == ("validation", system)
        check_scores(output)
        assert (trained / f"predictions/validation.{system}.jsonl").is_file()


def test_evaluate_on_another_data_set(texlens, trained, hub_layout, tmp_path):
    shutil.copytree(hub_layout, tmp_path / "other")
    (tmp_path / "other/train-00000-of-00001.parquet").rename(tmp_path / "other/test-00000-of-00001.parquet")
    output = texlens("evaluate", trained, "--set", f"data.path={tmp_path / 'other'}", "--json").json

    assert output["rows"] == 8


def test_a_run_is_evaluated_on_other_data_by_path(texlens, trained, hub_layout, tmp_path):
    shutil.copytree(hub_layout, tmp_path / "other")
    (tmp_path / "other/train-00000-of-00001.parquet").rename(tmp_path / "other/test-00000-of-00001.parquet")
    output = texlens("evaluate", trained, "--data", tmp_path / "other", "--json").json

    assert output["rows"] == 8


def test_a_bare_checkpoint_is_scored_as_a_run_is(texlens, hub_layout, tiny_checkpoints):
    checkpoint = tiny_checkpoints["qwen3_vl"]
    settings = ("--set", "evaluate.max_new_tokens=4", "--set", "evaluate.metrics=captions")
    output = texlens("evaluate", checkpoint, "--data", hub_layout, "--split", "train", *settings, "--json").json

    assert (output["model"], output["data"], output["split"], output["rows"]) == (
        str(checkpoint),
        str(hub_layout),
        "train",
        8,
    )
    assert "exact_match" in output["scores"]
    assert "cdm_f1" not in output["scores"]


def test_a_bare_checkpoint_needs_rows_and_is_one_system(texlens, tiny_checkpoints, hub_layout):
    checkpoint = tiny_checkpoints["qwen3_vl"]
    assert "name the rows with --data PATH" in texlens("evaluate", checkpoint).err
    assert "--system base" in texlens("evaluate", checkpoint, "--data", hub_layout, "--system", "base").err


def test_compare_as_json(texlens, trained):
    output = texlens("compare", trained, "--json").json

    assert output["rows"] == 4
    assert list(output["systems"]) == ["base", "adapter"]
    for system in output["systems"].values():
        check_scores(system)
    paired = output["paired"]["adapter_vs_base"]
    assert sum(paired[key] for key in ("both", "only_adapter", "only_base", "neither")) == 4
    assert 0 <= paired["p_value"] <= 1


def test_the_same_comparison_comes_out_again_from_kept_and_from_fresh_predictions(texlens, trained):
    first = texlens("compare", trained, "--json").json

    assert texlens("compare", trained, "--json").json == first
    assert texlens("compare", trained, "--fresh", "--json").json == first


def test_runs_as_json(texlens, trained):
    output = texlens("runs", "--output", trained.parent, "--json").json["runs"]

    assert [(Path(row["run"]).name, row["state"], row["steps"]) for row in output] == [("tiny", "trained", 2)]
    assert set(output[0]["scores"]) == {"base", "adapter"}
    assert texlens("runs", "--output", trained.parent / "none", "--json").json == {"runs": []}


def test_runs_as_a_table(texlens, trained):
    assert "trained" in texlens("runs", "--output", trained.parent).out
    assert "no run folder in" in texlens("runs", "--output", trained.parent / "none").out


def test_data_show_as_json(texlens, run_file):
    output = texlens("data", "show", run_file, "--rows", 2, "--json").json

    assert output["rows"] == 8
    assert len(output["examples"]) == 2
    first = output["examples"][0]
    assert first["text"] == "x ^ { 2 }"
    assert first["answer_tokens"] == sum(run["count"] for run in first["tokens"] if run["label"] is not None)


def test_models_as_json(texlens, tiny_checkpoints):
    output = texlens("models", "list", "--json").json
    assert [row["model_type"] for row in output["families"]] == list(FAMILIES)
    assert output["shipped_configurations"] == list(bundled_names())
    assert len(output["shipped_configurations"]) == 16

    folder = str(tiny_checkpoints["qwen3_vl"])
    assert texlens("models", "download", folder, "--json").json == {"model": folder, "folder": folder}


# Reading


@pytest.fixture
def formulas(tmp_path) -> dict[str, Path]:
    """Drawn formulas by their LaTeX, which the shipped model has to read."""
    files = {}
    for number, label in enumerate(("x ^ { 2 } + y ^ { 2 } = 1", "\\frac { a } { b } + c", "\\alpha _ { 1 } - \\beta")):
        files[label] = tmp_path / f"{number}.png"
        files[label].write_bytes(render_png(label))
    return files


def test_the_shipped_model_reads_printed_formulas(texlens, formulas):
    output = texlens("read", *formulas.values(), "--json").json

    assert [row["image"] for row in output["readings"]] == [str(file) for file in formulas.values()]
    assert [canonical_spacing(row["text"]) for row in output["readings"]] == [canonical_spacing(it) for it in formulas]
    assert {row["stop"] for row in output["readings"]} == {"end"}


def test_one_image_gives_its_latex_alone_and_several_a_line_each(texlens, formulas):
    first, *_ = formulas
    assert texlens("read", formulas[first]).out == "x^2 + y^2 = 1\n"
    assert texlens("read", formulas[first], "--raw").out.removesuffix("\n") == first
    lines = texlens("read", *formulas.values()).out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [str(file) for file in formulas.values()]


def test_images_that_can_not_be_read_are_named_and_the_others_are_printed(texlens, formulas, tmp_path):
    (tmp_path / "damaged.png").write_bytes(render_png("x + y")[:60])
    first, *_ = formulas
    done = texlens("read", tmp_path / "absent.png", formulas[first], tmp_path / "damaged.png")

    assert done.code == 2
    lines = dict(line.split("\t") for line in done.out.splitlines())
    assert lines[str(formulas[first])] == "x^2 + y^2 = 1"
    assert done.complaint.startswith("texlens: ")
    assert str(tmp_path / "absent.png") in done.complaint
    assert str(tmp_path / "damaged.png") in done.complaint


def test_an_absent_image_alone_is_named_before_a_model_is_loaded(texlens, tmp_path, monkeypatch):
    monkeypatch.setattr("texlens.inference.open_shared.build_model", None)
    done = texlens("read", tmp_path / "absent.png")

    assert (done.code, done.out) == (2, "")
    assert done.err == f"texlens: {tmp_path / 'absent.png'}: no such image file; check the path\n"


def test_failed_readings_are_in_the_json_with_their_reason(texlens, formulas, tmp_path):
    first, *_ = formulas
    done = texlens("read", formulas[first], tmp_path / "absent.png", "--json")

    assert done.code == 2
    good, bad = done.json["readings"]
    assert good["stop"] == "end"
    assert (bad["stop"], bad["text"]) == ("failed", "")
    assert str(tmp_path / "absent.png") in bad["error"]


def test_run_reads_with_its_own_adapter_and_prompt_and_reports_cut_readings(texlens, trained, formulas):
    done = texlens("read", *formulas.values(), "--model", trained, "--max-tokens", 8, "--json")
    readings = done.json["readings"]

    assert len(readings) == 3
    assert all(row["tokens"] <= 8 for row in readings)
    cut = [row for row in readings if row["stop"] == "length"]
    assert done.code == (3 if cut else 0)
    assert done.err.count("cut at the token limit; --max-tokens raises it") == len(cut)


# The program itself


HEAVY = ("torch", "transformers", "peft", "datasets", "fastapi", "uvicorn", "scipy", "matplotlib", "pyarrow")


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["data", "mix", "-h"], ["--version"], ["runs"]])
def test_help_loads_nothing_heavy(arguments, tmp_path):
    code = (
        "import sys; from texlens.cli.main import main\n"
        f"sys.argv = ['texlens', *{arguments}]\n"
        "try: main()\n"
        f"finally: print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), cwd=tmp_path, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", ["train", "plan"])
def test_a_mistyped_folder_is_reported_before_torch_is_loaded(command, tmp_path):
    code = (
        "import sys; from texlens.cli.main import main\n"
        f"sys.argv = ['texlens', {command!r}, 'nano_latex-ocr_lora', '--set', 'data.path=data/nosuch']\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules)"
    )
    (tmp_path / "data").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stdout) == (2, "False\n"), done.stderr
    assert "data/nosuch: no such folder" in done.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["data"]


def test_a_path_stays_whole_when_messages_go_into_a_file(texlens, run_file, tmp_path):
    done = texlens("train", run_file)

    assert f"report:  {tmp_path / 'runs/tiny/report.html'}" in done.out.splitlines()
