"""What a user can get wrong: one line that says what, where and the remedy, exit code 2, and no model loaded for it."""

import errno
import io
import json
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from PIL import Image

from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.integration.conftest import LABELS, RECIPES, copy_run, environment, write_rows, write_run_file
from texlens.core.run_folder import RunFolder
from texlens.latex.render.formats import render_png
from texlens.models.bundled import NANO_FOLDER

NANO = RECIPES / "nano_latex-ocr_lora.yaml"
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def loaded(monkeypatch) -> list[Path]:
    """The folders of models that were loaded."""
    from texlens.models import build, load

    folders: list[Path] = []

    def counted(folder, **options):
        folders.append(folder)
        return load.load_model(folder, **options)

    monkeypatch.setattr(build, "load_model", counted)
    return folders


@pytest.fixture
def error_line(texlens, loaded):
    """`refused("train", file)` is the one line that the command is refused with, before a model is loaded."""

    def run(*arguments: object) -> str:
        done = texlens(*arguments)
        assert done.code == 2, done.err
        assert done.out == ""
        assert done.complaint.startswith("texlens: ")
        assert done.err.count("texlens: ") - done.err.count("texlens: note: ") == 1
        assert loaded == []
        return done.complaint

    return run


def run_of(tmp_path: Path, model: Path, data: Path) -> Path:
    return write_run_file(tmp_path / "run.yaml", model, data, tmp_path / "runs")


# Run files


def test_a_misspelled_key_is_reported_with_the_nearest_one(error_line, run_file):
    assert error_line("train", run_file, "--set", "train.epohcs=1") == (
        f"texlens: {run_file}: unknown key 'train.epohcs'; did you mean 'train.epochs'?"
    )


def test_a_missing_run_file_is_named(error_line, tmp_path):
    assert str(tmp_path / "absent.yaml") in error_line("train", tmp_path / "absent.yaml")


def test_a_run_file_that_is_not_yaml_is_reported_with_its_line(error_line, tmp_path):
    (tmp_path / "run.yaml").write_text("model: {path: nano\ndata: demo\n")
    assert f"{tmp_path / 'run.yaml'} line 2" in error_line("train", tmp_path / "run.yaml")


def test_a_folder_given_as_run_file_is_reported(error_line, tmp_path):
    assert str(tmp_path) in error_line("train", tmp_path)


@pytest.mark.parametrize("command", ["train", "plan", "data show"])
def test_a_missing_model_folder_is_reported_by_every_command(error_line, run_file, tmp_path, command):
    message = error_line(*command.split(), run_file, "--set", f"model.path={tmp_path}/no/such/model")
    assert f"{tmp_path}/no/such/model" in message
    assert "no folder" in message or "no such folder" in message


def test_a_missing_data_folder_is_reported(error_line, run_file, tmp_path):
    message = error_line("train", run_file, "--set", f"data.path={tmp_path}/no/such/data")
    assert message == f"texlens: {tmp_path}/no/such/data: no such file or folder; check data.path"


def test_an_unknown_family_is_reported_with_those_that_are_known(error_line, run_file, tiny_checkpoints, tmp_path):
    folder = Path(shutil.copytree(tiny_checkpoints["qwen3_vl"], tmp_path / "other"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "llava"}))
    message = error_line("train", run_file, "--set", f"model.path={folder}")
    assert message.startswith(f"texlens: {folder / 'config.json'}: model_type 'llava'")
    assert "qwen3_vl_moe" in message


def test_a_checkpoint_cut_short_is_reported(error_line, run_file, tiny_checkpoints, tmp_path):
    folder = Path(shutil.copytree(tiny_checkpoints["qwen3_vl"], tmp_path / "cut"))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    message = error_line("train", run_file, "--set", f"model.path={folder}")
    assert str(weights) in message
    assert "download this file again" in message


def test_targets_that_match_nothing_are_reported_with_the_nearest(error_line, run_file):
    message = error_line("train", run_file, "--set", "adapter.targets=[q_prj]")
    assert message == "texlens: adapter.targets: 'q_prj' matches no linear layer of this model; did you mean 'q_proj'?"


def test_an_unknown_split_of_the_data_is_reported_with_those_there_are(error_line, run_file, hub_layout):
    message = error_line("train", run_file, "--set", "data.splits.train=training")
    assert message.startswith(f"texlens: {hub_layout}: no split 'training', only ")
    assert "test, train, validation" in message


def test_an_unknown_test_split_is_reported_before_training_and_not_after_it(error_line, run_file, tmp_path):
    message = error_line("train", run_file, "--set", "data.splits.test=tset")
    assert "no split 'tset'" in message
    assert not (tmp_path / "runs").exists()


def test_an_empty_test_split_is_reported_before_training(error_line, run_file, tmp_path):
    message = error_line("train", run_file, "--set", "data.splits.test=test[100:]")
    assert message == "texlens: data.splits.test: no row in test[100:]; name another split, or null for none"


def test_an_unknown_subset_is_reported(error_line, run_file, hub_layout):
    assert f"{hub_layout}: no subset 'smal'" in error_line("train", run_file, "--set", "data.subset=smal")


def test_no_free_disk_is_reported_with_both_numbers_and_without_fetching_weights(error_line, monkeypatch):
    class Hub:
        name = "huggingface"

        def installed(self):
            return True

        def files(self, *_):
            return {"config.json": 100, "model.safetensors": 60 << 30}

        def fetch(self, model_id, revision, names, to):
            assert names == ["config.json"]
            return NANO_FOLDER

        def missing_bytes(self, *_):
            return 60 << 30

        def cache_folder(self):
            return Path("/")

    monkeypatch.setattr("texlens.models.download.HUBS", {"huggingface": Hub})
    monkeypatch.setattr("texlens.models.download.shutil.disk_usage", lambda _: Usage(100 << 30, 90 << 30, 10 << 30))
    message = error_line("models", "download", "Qwen/Qwen3-VL-30B-A3B-Instruct", "--source", "huggingface")
    assert "60.0 GiB to download" in message
    assert "has 10.0 GiB free; make room" in message


# Rows


@pytest.fixture
def bad_rows(tmp_path) -> Path:
    """Of the eight train rows, 1 is truncated, 3 no image, 4 without an answer and 6 far too wide."""
    folder = tmp_path / "bad"
    labels = [*LABELS[:4], "  ", *LABELS[5:8]]
    whole = render_png(LABELS[1])
    images = {1: whole[: len(whole) // 2], 3: b"no image", 4: whole, 6: wide_png()}
    write_rows(folder / "train.parquet", labels, images)
    write_rows(folder / "validation.parquet", LABELS[8:10])
    write_rows(folder / "test.parquet", LABELS[8:12], {2: whole[: len(whole) // 2], 3: b"no image"})
    return folder


def wide_png() -> bytes:
    """An image whose long side is 201 times the short one."""
    file = io.BytesIO()
    Image.new("L", (2010, 10), 255).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("check", ["pixels", "headers"])
def test_bad_rows_are_named_and_counted_and_training_goes_on_without_them(
    texlens, tiny_checkpoints, bad_rows, tmp_path, check
):
    file = run_of(tmp_path, tiny_checkpoints["qwen3_vl"], bad_rows)
    done = texlens("train", file, "--json", "--set", f"data.checks.images={check}")

    assert done.code == 0, done.err
    message = " ".join(done.err.split())
    train = bad_rows / "train.parquet"
    for row, reason in (
        (1, "the image is damaged"),
        (3, "not a readable image"),
        (4, "0 answer tokens"),
        (6, "the long side is over 200 times the short one"),
    ):
        assert f"{train} row {row}: " in message
        assert reason in message
    account = json.loads((tmp_path / "runs/tiny/data.json").read_text())["splits"]["train"]
    rejected_while_training = done.json["training"]["rows_rejected_while_training"]
    assert account["rows"] == 8
    assert account["kept"] + len(account["rejected_rows"]) == 8
    assert (account["kept"], rejected_while_training) == ((4, []) if check == "pixels" else (5, ["train-1"]))


def test_bad_test_rows_score_zero_and_are_in_the_report(texlens, tiny_checkpoints, bad_rows, tmp_path):
    file = run_of(tmp_path, tiny_checkpoints["qwen3_vl"], bad_rows)
    done = texlens("train", file, "--json")

    assert done.json["comparison"]["rows"] == 4
    assert done.json["comparison"]["systems"]["adapter"]["failed"] == 2
    rows = [json.loads(line) for line in (tmp_path / "runs/tiny/predictions/test.base.jsonl").read_text().splitlines()]
    assert {row["id"] for row in rows if row["stop"] == "failed"} == {"test-2", "test-3"}
    assert {row["reference"] for row in rows} == set(LABELS[8:12])
    assert "test-2" in (tmp_path / "runs/tiny/report.html").read_text()


def test_strict_data_stops_at_the_first_bad_row(error_line, tiny_checkpoints, bad_rows, tmp_path):
    file = run_of(tmp_path, tiny_checkpoints["qwen3_vl"], bad_rows)
    message = error_line("train", file, "--set", "data.strict=true")
    assert message.startswith(f"texlens: {bad_rows / 'train.parquet'} row 1: the image is damaged")
    assert "4 of 8 rows can't be used" in message
    assert not (tmp_path / "runs").exists()


def test_strict_data_stops_at_a_bad_row_that_only_training_finds(texlens, tiny_checkpoints, tmp_path):
    whole = render_png(LABELS[1])
    write_rows(tmp_path / "bad/train.parquet", LABELS[:4], {1: whole[: len(whole) // 2]})
    file = run_of(tmp_path, tiny_checkpoints["qwen3_vl"], tmp_path / "bad")
    splits = ("--set", "data.splits.validation=null", "--set", "data.splits.test=null")
    done = texlens("train", file, "--set", "data.strict=true", "--set", "data.checks.images=headers", *splits)
    assert done.code == 2
    assert f"{tmp_path / 'bad/train.parquet'} row 1: the image is damaged" in done.complaint


def test_rows_that_are_all_bad_are_an_error(error_line, tiny_checkpoints, tmp_path):
    write_rows(tmp_path / "bad/train.parquet", ["x", "y"], {0: b"no", 1: b"image"})
    file = run_of(tmp_path, tiny_checkpoints["qwen3_vl"], tmp_path / "bad")
    message = error_line("train", file, "--set", "data.splits.validation=null", "--set", "data.splits.test=null")
    assert "no train row can be used" in message
    assert "row 0: not a readable image" in message


def test_a_damaged_parquet_file_is_named(error_line, tiny_checkpoints, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/train.parquet").write_bytes(b"PAR1 cut short")
    message = error_line("train", run_of(tmp_path, tiny_checkpoints["qwen3_vl"], tmp_path / "bad"), "--no-compare")
    assert f"{tmp_path / 'bad/train.parquet'}: not a whole parquet file" in message


# Run folders


def test_a_folder_that_is_no_run_is_reported(error_line, tmp_path):
    for command in (["compare"], ["report"], ["train", "--resume"]):
        assert error_line(*command, tmp_path) == (
            f"texlens: {tmp_path}: not a run folder (no run.json in it); `texlens runs` lists them"
        )
    assert error_line("evaluate", tmp_path) == (
        f"texlens: {tmp_path}: not a run folder; to score a checkpoint, name the rows with --data PATH"
    )


def test_a_file_or_nothing_given_as_run_folder_is_reported(error_line, tmp_path):
    (tmp_path / "file").write_text("x")
    assert f"{tmp_path / 'file'}: not a run folder" in error_line("evaluate", tmp_path / "file")
    assert f"{tmp_path / 'absent'}: not a run folder" in error_line("evaluate", tmp_path / "absent")


def test_a_run_folder_in_use_by_another_process_is_reported_with_its_number(error_line, trained):
    code = (
        "import sys, pathlib; from texlens.core.run_folder import RunFolder\n"
        "with RunFolder.open(pathlib.Path(sys.argv[1])).locked(): print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(trained)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "locked\n"
        for command in (["evaluate"], ["compare"], ["report"], ["train", "--resume"]):
            message = error_line(*command, trained)
            assert message == f"texlens: {trained}: in use by process {other.pid}; wait for it or stop it"
        other.stdin.close()


@pytest.mark.parametrize("text", ['{"state": "trai', "[]", ""], ids=["cut", "list", "empty"])
def test_a_damaged_manifest_is_named(error_line, trained, text):
    (trained / "run.json").write_text(text)
    assert f"{trained / 'run.json'}: damaged" in error_line("train", "--resume", trained)
    assert f"{trained / 'run.json'}: damaged" in error_line("report", trained)


def test_a_misspelled_run_to_read_with_is_reported_without_asking_a_hub(error_line, trained, tmp_path, monkeypatch):
    (tmp_path / "x.png").write_bytes(render_png("x"))
    monkeypatch.chdir(tmp_path)
    assert error_line("read", "x.png", "--model", "runs/tny") == "texlens: runs/tny: no such run; there are runs/tiny"


def test_a_damaged_run_hides_no_other_in_the_list(texlens, trained):
    copy_run(trained, trained.parent / "other")
    (trained / "run.json").write_text("{")
    listed = texlens("runs", "--output", trained.parent, "--json").json["runs"]
    states = {Path(row["run"]).name: row["state"] for row in listed}
    assert states["tiny"] == "damaged"
    assert states["other"] == "trained"


def test_a_damaged_config_is_named(error_line, trained):
    (trained / "config.yaml").write_text("model: [")
    assert str(trained / "config.yaml") in error_line("evaluate", trained)


def test_the_adapter_of_a_finished_run_can_not_be_changed(error_line, trained):
    message = error_line("evaluate", trained, "--set", "adapter.rank=8")
    assert message.startswith("texlens: --set 'adapter.rank=8': adapter of a finished run can't be changed")


def test_resume_takes_no_settings(error_line, trained):
    assert "--set can't be used with --resume" in error_line("train", "--resume", trained, "--set", "train.steps=9")


def test_an_unknown_split_to_evaluate_is_reported(error_line, trained):
    assert "--split tset: no such split of a run; did you mean test?" in error_line(
        "evaluate", trained, "--split", "tset"
    )


# Adapters


@pytest.mark.parametrize("command", ["evaluate", "compare", "read"])
def test_an_adapter_of_another_base_is_reported(error_line, trained, tiny_checkpoints, tmp_path, command):
    other = write_tiny_checkpoint(tmp_path / "other-base", "qwen3_vl", seed=7)
    config = (trained / "config.yaml").read_text()
    (trained / "config.yaml").write_text(config.replace(str(tiny_checkpoints["qwen3_vl"]), str(other)))
    image = tmp_path / "x.png"
    image.write_bytes(render_png("x"))
    message = error_line("read", image, "--model", trained) if command == "read" else error_line(command, trained)
    assert message.startswith(f"texlens: {trained / 'adapter'}: this adapter belongs to another base (")
    assert message.count("fingerprint") == 1
    assert "set model.path to the base it was trained on" in message


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda adapter: shutil.rmtree(adapter), "no adapter in it; train it first"),
        (lambda adapter: (adapter / "adapter_model.safetensors").unlink(), "adapter_model.safetensors is missing"),
        (
            lambda adapter: (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin"),
            "the weights are a pickle (adapter_model.bin), which can run code; convert them to safetensors",
        ),
        (
            lambda adapter: (adapter / "adapter_model.safetensors").write_bytes(
                (adapter / "adapter_model.safetensors").read_bytes()[:-50]
            ),
            "download this file again",
        ),
        (lambda adapter: (adapter / "adapter_config.json").write_text("{"), "adapter_config.json"),
        (lambda adapter: (adapter / "texlens.json").write_text("{"), "texlens.json: damaged"),
    ],
    ids=["absent", "no weights", "pickle", "cut", "config", "card"],
)
def test_an_adapter_that_can_not_be_used_is_reported(error_line, trained, tmp_path, damage, reason):
    damage(trained / "adapter")
    image = tmp_path / "x.png"
    image.write_bytes(render_png("x"))
    for command in (("evaluate", trained), ("read", image, "--model", trained)):
        message = error_line(*command)
        assert str(trained if reason.startswith("no adapter") else trained / "adapter") in message
        assert reason in message


# Predictions


@pytest.mark.parametrize("keep", [1, 0.7], ids=["at a line's end", "within a line"])
def test_predictions_cut_short_are_reported_and_never_scored(error_line, trained, keep):
    path = trained / "predictions/test.adapter.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]) + (lines[-1][:20] if keep < 1 else ""))
    for command in ("evaluate", "compare"):
        message = error_line(command, trained)
        assert message.startswith(f"texlens: {path}")
        assert "--no-cache reads the rows again" in message


def test_predictions_of_a_model_that_looped_are_read_again(texlens, trained):
    path = trained / "predictions/test.adapter.jsonl"
    rows = [{**json.loads(line), "text": "a " * 60, "stop": "loop"} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = texlens("evaluate", trained, "--json")
    assert done.code == 0, done.err
    assert done.json["scores"]["repetition"]["value"] == 1.0


def test_damaged_conditions_beside_predictions_only_mean_reading_again(texlens, trained, loaded):
    (trained / "predictions/test.adapter.json").write_text("{")
    assert texlens("evaluate", trained).code == 0
    assert len(loaded) == 1


def test_a_report_without_predictions_names_the_command_that_makes_them(error_line, trained):
    (trained / "predictions/test.base.jsonl").unlink()
    assert f"run `texlens compare {trained}` first" in error_line("report", trained)


# The machine


def test_an_output_that_is_a_file_is_reported(error_line, run_file, tmp_path):
    (tmp_path / "runs").write_text("in the way")
    assert error_line("train", run_file) == f"texlens: {tmp_path / 'runs'}: Not a directory; check the path"
    assert (tmp_path / "runs").read_text() == "in the way"


def test_an_output_that_may_not_be_written_is_reported(error_line, run_file, monkeypatch, tmp_path):
    def denied(self, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", denied)
    assert error_line("train", run_file) == (
        f"texlens: {tmp_path / 'runs'}: Permission denied; change the rights of that folder, "
        "or write elsewhere with --set output=FOLDER"
    )


def test_a_disk_that_fills_up_is_reported_with_the_file_and_the_old_one_stays(texlens, trained, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = (trained / "scores/test.adapter.json").read_text()
    monkeypatch.setattr("texlens.core.files.os.fsync", full)
    done = texlens("evaluate", trained)
    assert done.code == 2
    file = trained / "scores/test.adapter.json"
    assert done.complaint.startswith(f"texlens: {file}: No space left on device; make room")
    assert (trained / "scores/test.adapter.json").read_text() == before


def test_a_disk_that_fills_up_under_safetensors_is_reported(texlens, run_file, monkeypatch):
    from safetensors import SafetensorError

    def full(*_):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("texlens.training.build.save_adapter", full)
    done = texlens("train", run_file)
    assert done.code == 2
    assert done.complaint.startswith("texlens: No space left on device; make room")


def test_our_own_mistake_keeps_its_traceback(texlens, run_file, monkeypatch):
    def broken(*_):
        raise AttributeError("a mistake of ours")

    monkeypatch.setattr("texlens.workflows.run_cost.plan_run", broken)
    with pytest.raises(AttributeError, match="a mistake of ours"):
        texlens("plan", run_file)


# As a process of its own


def program(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "texlens", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=300, check=False)


def test_the_process_exits_with_2_and_one_line_for_bad_input(run_file):
    done = program("train", run_file, "--set", "trian.steps=3")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"texlens: {run_file}: unknown key 'trian'; did you mean 'train'?\n"


def test_the_process_exits_with_1_and_a_traceback_for_our_own_mistake(tmp_path):
    code = (
        "import sys, texlens.core.run_folder as folders; from texlens.cli.main import main\n"
        "folders.list_runs = lambda output: 1 / 0\nsys.argv = ['texlens', 'runs']\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_a_stopped_process_exits_with_130_and_says_how_to_go_on(tmp_path):
    code = (
        "import sys, texlens.core.run_folder as folders; from texlens.cli.main import main\n"
        "def stopped(output): raise KeyboardInterrupt\n"
        "folders.list_runs = stopped\nsys.argv = ['texlens', 'runs']\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 130
    assert done.stderr == "texlens: stopped; `texlens train --resume RUN` goes on with a training\n"


def test_a_lock_dies_with_its_process(trained):
    code = (
        "import os, sys, pathlib; from texlens.core.run_folder import RunFolder\n"
        "with RunFolder.open(pathlib.Path(sys.argv[1])).locked(): os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(trained)], check=False)
    with RunFolder.open(trained).locked():
        pass
