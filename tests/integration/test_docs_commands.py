"""Every command of the documentation is run, page by page and in its order, on small models and data (`DOCS=1`).

What a page takes for granted, such as a finished run or a folder of scans, is made before. Names of large models and of
sets on a hub stand for tiny ones here; a command that can't run like this names the test that runs it.
"""

import glob
import io
import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.integration.conftest import RECIPES, ROOT, copy_run, write_rows
from tests.integration.printed import make_inputs
from tests.integration.test_commands import NEEDS, SMALL
from tests.integration.test_docs_code import commands
from texlens.latex.render.formats import render_png

pytestmark = [
    pytest.mark.skipif(os.environ.get("DOCS") != "1", reason="DOCS=1 runs every command of the documentation"),
    pytest.mark.timeout(3600),
]
TINY = "--set data.path=data/mine --set data.subset=null --set data.splits.train=train[:12] --set data.splits.test=test"
ELSEWHERE = {
    **{reason: parts for reason, parts in NEEDS.items() if "to be stopped" in reason or "bitsandbytes" in reason},
    "more validation rows; tests/integration/test_serving.py runs it": ("texlens calibrate",),
    "a hub; tests/unit/models and tests/unit/exporting/push run it": ("models download", "texlens push", "=me/"),
    "a public test set; tests/unit/evaluation/suite runs it": ("--suite",),
    "rows set aside to prove a round; tests/integration/test_learn.py runs it": ("learn photos --", "learn/rounds"),
    "a file of edits; tests/integration/test_board_rows.py runs it": (".board/edits",),
    "predictions of these rows; tests/integration/test_compare_systems.py runs it": ("runs/nano predictions.jsonl",),
    "bitsandbytes; tests/unit/exporting runs it where it is installed": ("--format nf4", "RUN DIR DIR"),
    "an endpoint; tests/integration/test_compare_systems.py runs it": ("http://",),
    "standard input; tests/unit/cli/using runs it": ("texlens read -",),
    "a shell": ("-completion",),
    "TeX Live; tests/unit/latex/tex runs it": ("--renderer tex", "--engine tex"),
}
"""Why some commands are not run here, by a part of their line."""
STANDS_FOR = {
    r"(?<=--model )/models/Qwen3-VL-4B-Instruct\S*": "nano",
    r"/models/Qwen3-VL-4B-Instruct\S*": "tiny",
    r"(linxy/|modelscope:AI-ModelScope/|(?<= ))LaTeX_OCR": "sets/LaTeX_OCR",
    r"checkpoint-\d+": "checkpoint-2",
    r"\bRUN\b": "runs/nano",
    r"--processes \d+": "--processes 2",
    r"--gpu auto": "--gpu rtx4090",
    r"trials/007": "trials/001",
    r"\bCROHME\b": "rows",
    r"handwriting\.zip": "my-images",
    r"(?<=--n )\d+": "4",
    r"--trials \d+": "--trials 2",
    r"(?<=\.jpg )--model runs/x": "--model runs/nano",
}
"""What stands for a name of the documentation, by its pattern."""
RUNS = ("handwriting", "name", "x", "mine", "print", "nano-2", "qwen3-vl-4b", "qwen3-vl-4b_latex-ocr", "mine-4b")
SUBSETS = ("small", "full", "human_handwrite")


@pytest.fixture
def desk(nano_run, tmp_path, monkeypatch) -> Path:
    """The folder in which the commands of a page are run."""
    for name in ("nano", *RUNS):
        copy_run(nano_run, tmp_path / "runs" / name)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/run").symlink_to(tmp_path / "runs/nano")
    write_tiny_checkpoint(tmp_path / "tiny")
    monkeypatch.setenv("TEXLENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    make_inputs(
        ["data/mine", "rows", "scans/", "formula.png", "labels.csv", "photos/", "predictions.jsonl", "mine.txt"]
    )
    for subset in SUBSETS:
        target = tmp_path / "sets/LaTeX_OCR" / subset
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(tmp_path / "data/mine")
    for number in range(12):
        (tmp_path / f"photos/{number}.png").write_bytes(render_png(f"x ^ {{ {number} }} + y"))
        (tmp_path / f"photos/{number}.txt").write_text(f"x ^ {{ {number} }} + y")
    (tmp_path / "my-images").symlink_to(tmp_path / "photos")
    for split in ("validation", "test2014"):
        write_rows(tmp_path / f"rows/{split}-00000-of-00001.parquet", ["z", "y + 1"])
    (tmp_path / "data/formulas").symlink_to(tmp_path / "rows")
    (tmp_path / "edits.jsonl").touch()
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    for copy in ("shot.png", "new.png", "photo.jpg", "image.png", "photos/0001.jpg"):
        (tmp_path / copy).write_bytes((tmp_path / "formula.png").read_bytes())
    (tmp_path / "photos/0001.txt").write_text("x ^ { 2 }")
    recipe = (RECIPES / "nano_latex-ocr_lora.yaml").read_text()
    (tmp_path / "run.yaml").write_text(re.sub(r"^name:.*", "name: run", recipe, flags=re.MULTILINE))
    return tmp_path


def words_of(line: str, page: str) -> list[str]:
    """The command's words with what stands here for its names, and the settings that make it small."""
    folder = "exported" if "export" in page else "data/mine"
    for pattern, name in {**STANDS_FOR, r"\bDIR\b": folder}.items():
        line = re.sub(pattern, name, line)
    words = [part for word in shlex.split(line)[1:] for part in (sorted(glob.glob(word)) or [word])]
    command = " ".join(words[:2]) if words[0] == "data" else words[0]
    if "--resume" in words:
        return words
    if command in ("train", "data show", "sweep") and is_large(words):
        words += shlex.split(TINY if not any("data.path=" in word for word in words) else "")
        words += ["--set", "model.path=tiny"]
    smaller = SMALL.get(command, "")
    if "data.splits.validation=null" in words:
        smaller = smaller.replace("--set data.splits.validation=0.02", "")
    return words + shlex.split(smaller)


def is_large(words: list[str]) -> bool:
    """Whether a recipe or a run file names a model that is not shipped."""
    files = [Path(word) for word in words if word.endswith(".yaml") and Path(word).is_file()]
    return "qwen3" in " ".join([*words, *(file.read_text() for file in files)]).lower()


def found_errors(words: list[str], done) -> bool:
    """Whether `data validate` ended with 2 because of what it found, as it says."""
    return words[:2] == ["data", "validate"] and done.code == 2 and not done.err.strip() and "error" in done.out


def make_room(words: list[str]) -> None:
    """Takes away what earlier commands of the page wrote where this one writes."""
    if words[0] in ("init", "recipes"):
        Path(words[-1] if words[0] == "recipes" else words[1]).unlink(missing_ok=True)
    if words[:2] in (["data", "convert"], ["data", "split"], ["data", "mix"], ["data", "tasks"]) and "-o" in words:
        shutil.rmtree(words[words.index("-o") + 1], ignore_errors=True)


@pytest.mark.parametrize("page", sorted({page for page, _ in commands()}))
def test_the_commands_of_a_page_run(page, texlens, desk, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    faults, ran = [], 0
    for line in dict.fromkeys(line.strip() for name, line in commands() if name == page):
        if any(part in line for parts in ELSEWHERE.values() for part in parts):
            continue
        words = words_of(line, page)
        make_inputs([word for word in words if not Path(word).exists()])
        make_room(words)
        done = texlens(*words)
        ran += 1
        if done.code and not found_errors(words, done):
            faults.append(f"{line}\n  as: texlens {shlex.join(words)}\n  {done.err.strip()[-400:]}")
    print(f"{page}: {ran} commands ran")
    assert faults == [], "\n".join(faults)
