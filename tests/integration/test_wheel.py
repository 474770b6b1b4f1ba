"""A wheel in an empty environment does `init`, `train`, `compare`, `read` and `serve` outside the repository."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = (
    "--set",
    "train.epochs=null",
    "--set",
    "train.steps=2",
    "--set",
    "data.limit=8",
    "--set",
    "evaluate.max_rows=4",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not os.environ.get("WHEEL"), reason="minutes, and installs packages; make test-all sets WHEEL"),
]


def environment(folder: Path) -> dict[str, str]:
    """Nothing of the repository or of this environment is on any path."""
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")
    values = {name: value for name, value in os.environ.items() if name not in hidden}
    return {**values, "TEXLENS_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder outside the repository, with the wheel installed in `env`."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(folder), str(ROOT)], check=True, cwd=folder)
    subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True)
    install = [str(folder / "env/bin/pip"), "--disable-pip-version-check", "install", "-q"]
    wheel = next(folder.glob("texlens-*.whl"))
    limits = ["-c", str(ROOT / "constraints.txt")]
    subprocess.run([*install, "torch==2.13.0"], check=True, env=environment(folder))
    subprocess.run([*install, *limits, str(wheel)], check=True, env=environment(folder))
    return folder


@pytest.fixture(scope="module")
def texlens(installed) -> Callable[..., str]:
    """`texlens("plan", …)`: standard output of the installed program, run in that folder."""

    def run(*arguments: str) -> str:
        command = [str(installed / "env/bin/texlens"), *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=installed, env=environment(installed), check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_installed_program_is_not_the_repository(installed):
    command = [str(installed / "env/bin/python"), "-c", "import texlens; print(texlens.__file__)"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=installed, env=environment(installed), check=True
    )
    assert done.stdout.startswith(str(installed / "env"))


def test_init_train_compare_and_read(installed, texlens):
    assert "written: mine.yaml" in texlens("init", "mine.yaml", "--data", "demo", "--model", "nano")
    trained = json.loads(texlens("train", "mine.yaml", *SMALL, "--json"))
    assert trained["training"]["steps"] == 2
    assert (installed / "runs/mine/report.html").is_file()
    assert "nano_latex-ocr_lora" in texlens("recipes", "list")
    compared = json.loads(texlens("compare", "runs/mine", "--set", "evaluate.max_rows=4", "--json"))
    assert set(compared["systems"]) == {"base", "adapter"}
    texlens("render", "x^2", "-o", "formula.png")
    assert texlens("read", "formula.png").strip()


def test_serve_answers(installed, texlens):
    command = [str(installed / "env/bin/texlens"), "serve", "nano", "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=installed, env=environment(installed))
    try:
        address = next(
            match[0] for line in server.stderr or () if (match := re.search(r"http://127\.0\.0\.1:\d+", line))
        )
        with urllib.request.urlopen(f"{address}/v1/models", timeout=60) as answer:
            assert [model["id"] for model in json.load(answer)["data"]] == ["nano"]
    finally:
        server.terminate()
        server.wait(60)
