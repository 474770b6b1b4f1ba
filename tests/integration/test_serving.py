"""The commands that read and serve, on a finished run: folders, formats, a server process, vLLM's command."""

import json
import re
import signal
import subprocess
import sys
import time

import httpx
import pytest

from tests.integration.conftest import copy_run, environment
from texlens.core.run_folder import RunFolder
from texlens.inference.confidence import read_calibration
from texlens.inference.open_shared import open_shared
from texlens.inference.opening.source import resolve
from texlens.latex.render.formats import render_png

FORMULAS = ("x ^ { 2 } + y ^ { 2 } = 1", "\\frac { a } { b } + c", "\\alpha _ { 1 } - \\beta")


@pytest.fixture
def scans(tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    for number, formula in enumerate(FORMULAS):
        (folder / f"{number}.png").write_bytes(render_png(formula))
    (folder / "3.png").write_bytes(b"damaged")
    return folder


def test_folder_is_read_into_a_file_and_continued(texlens, scans, tmp_path):
    out = tmp_path / "out.jsonl"
    first = texlens("read", scans, "-o", out)
    rows = {row["image"]: row for row in map(json.loads, out.read_text().splitlines())}

    assert first.code == 2
    assert first.out == f"3 read into {out}, 1 failed\n"
    assert str(scans / "3.png") in first.complaint
    assert rows[str(scans / "0.png")]["latex"] == "x^2 + y^2 = 1"
    assert "not a readable image" in rows[str(scans / "3.png")]["error"]

    (scans / "4.png").write_bytes(render_png("z"))
    again = texlens("read", scans, "-o", out)
    assert (again.code, again.out) == (2, f"1 read into {out}, 0 failed\n")
    assert str(scans / "3.png") in again.complaint, "the failed row is still in the file"
    assert "holds 4 of 5 images already" in again.err
    assert len(out.read_text().splitlines()) == 5


def test_one_image_in_every_format(texlens, scans):
    image = scans / "1.png"

    assert texlens("read", image, "--raw").out == FORMULAS[1] + "\n"
    assert texlens("read", image, "--stream").out == FORMULAS[1] + "\n"
    assert texlens("read", image, "--format", "markdown").out == "$$\n\\frac{a}{b} + c\n$$\n"
    assert texlens("read", image, "--format", "mathml").out.startswith("<math ")
    row = json.loads(texlens("read", image, "--format", "json").out)
    assert (row["latex"], row["text"], row["stop"]) == ("\\frac{a}{b} + c", FORMULAS[1], "end")
    sure, latex = texlens("read", image, "--confidence").out.rstrip("\n").split("\t")
    assert latex == "\\frac{a}{b} + c"
    assert sure == "-" or 0.5 < float(sure) <= 1


def test_numpy_and_torch_give_the_same_readings(texlens, scans):
    both = texlens("read", scans / "0.png", scans / "1.png", "--json").json["readings"]
    for number, row in enumerate(both):
        (single,) = texlens("read", scans / f"{number}.png", "--json").json["readings"]
        assert single == row | {"log_probability": pytest.approx(row["log_probability"], abs=1e-3)} | {
            "confidence": pytest.approx(row["confidence"], abs=1e-3)
        }


def test_reading_one_image_loads_no_torch(scans):
    code = (
        "import sys; from texlens.cli.main import main; sys.argv = ['texlens', 'read', sys.argv[1]]\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'transformers', 'fastapi'} & set(sys.modules)) or 'light')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(scans / "0.png")],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=300,
    )
    assert done.stdout == "x^2 + y^2 = 1\nlight\n", done.stderr


def test_standard_input_is_an_image(scans):
    done = subprocess.run(
        [sys.executable, "-m", "texlens", "read", "-"],
        input=(scans / "2.png").read_bytes(),
        capture_output=True,
        env=environment(),
        timeout=300,
    )
    assert done.stdout == b"\\alpha_1 - \\beta\n", done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--stream"], "--stream reads one image, here are 4"),
        (["--jobs", "none"], "--jobs 'none': a number of threads, or auto"),
        (["-o", "x.jsonl", "--json"], "leave out --stream and --json"),
    ],
)
def test_options_that_exclude_each_other_are_refused(texlens, scans, arguments, reason):
    done = texlens("read", scans, *arguments)

    assert done.code == 2
    assert reason in done.complaint


def test_two_runs_and_their_base_are_served_by_name(trained, tmp_path):
    other = copy_run(trained, tmp_path / "runs" / "second")
    models = open_shared([resolve(trained), resolve(other)])

    assert [(model.name, model.backend.adapter, model.parent) for model in models.values()] == [
        ("tiny", "default", "qwen3_vl"),
        ("second", "run-1", "qwen3_vl"),
        ("qwen3_vl", None, None),
    ]
    limit = models["tiny"].max_new_tokens
    assert limit > 8, "what the model can hold, not the limit of training's evaluation"


def test_run_with_the_name_of_its_base_is_served_with_it(trained, tmp_path):
    run = copy_run(trained, tmp_path / "runs" / "qwen3_vl")
    models = open_shared([resolve(run)])

    assert [(model.name, model.parent) for model in models.values()] == [
        ("qwen3_vl", "qwen3_vl-base"),
        ("qwen3_vl-base", None),
    ]


def test_server_answers_and_stops_on_sigterm(trained, tmp_path):
    log = tmp_path / "log"
    with log.open("w") as file:
        server = subprocess.Popen(
            [sys.executable, "-m", "texlens", "serve", str(trained), "--port", "0", "--api-key-env", "KEY"],
            stderr=file,
            env={**environment(), "KEY": "secret"},
        )
    try:
        deadline = time.monotonic() + 300
        while not (match := re.search(r"http://\S+(?=/v1)", log.read_text())) and time.monotonic() < deadline:
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
        with httpx.Client(base_url=match[0], timeout=300, headers={"Authorization": "Bearer secret"}) as http:
            assert [model["id"] for model in http.get("/v1/models").json()["data"]] == ["tiny", "qwen3_vl"]
            assert http.post("/v1/read", files={"file": render_png("x")}).json()["model"] == "tiny"
        server.send_signal(signal.SIGTERM)
        assert server.wait(300) == 0
    finally:
        server.kill()
    assert "secret" not in log.read_text()


def test_missing_key_and_used_port_are_reported(texlens, trained, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    assert "--api-key-env NO_SUCH_KEY: not set" in texlens("serve", trained, "--api-key-env", "NO_SUCH_KEY").complaint
    from texlens.serve.sockets import listening_socket

    with listening_socket("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port}: can't listen there" in texlens("serve", trained, "--port", port).complaint


def test_run_with_too_few_rows_is_not_calibrated(texlens, trained):
    assert "a calibration needs at least 20" in texlens("calibrate", trained).complaint
    assert read_calibration(RunFolder(trained).adapter) is None
