"""The pages under docs/extending are followed literally, in a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.fixtures.thorough import IS_THOROUGH
from tests.integration.conftest import ROOT

PAGES = sorted((ROOT / "docs" / "extending").glob("*.md"))
BLOCK = re.compile(r'^```(python|diff) title="([^"]+)"\n(.*?)^```', re.MULTILINE | re.DOTALL)


@pytest.fixture
def project(tmp_path) -> Path:
    """A copy of sources and test fixtures; large files are links."""
    for folder in ("src/texlens", "tests"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, copy_function=_copy, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path


def _copy(source: str, target: str) -> None:
    if os.path.getsize(source) > 100_000:
        os.symlink(source, target)
    else:
        shutil.copyfile(source, target)


def run_tests(tests: Iterable[Path], project: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(project / "src"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    options = {"cwd": project, "env": environment, "capture_output": True, "text": True, "timeout": 300}
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(project)]
    done = subprocess.run([*command, *map(str, tests)], check=False, **options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


def follow(page: str, project: Path) -> list[Path]:
    """Writes the files that the page shows and applies its diffs; returns the tests among them."""
    tests = []
    for language, name, text in BLOCK.findall(page):
        file = project / name
        if language == "python":
            file.write_text(text, encoding="utf-8")
            tests += [file] if file.name.startswith("test_") else []
        else:
            file.write_text(patched(file.read_text(encoding="utf-8"), text, name), encoding="utf-8")
    return tests


def patched(text: str, diff: str, name: str) -> str:
    """The text with each hunk (lines between `@@`) applied; its `-` and ` ` lines must be there, in a row."""
    for hunk in re.split(r"^@@.*\n", diff, flags=re.MULTILINE):
        lines = hunk.splitlines()
        old = "\n".join(line[1:] for line in lines if not line.startswith("+"))
        new = "\n".join(line[1:] for line in lines if not line.startswith("-"))
        assert text.count(old) == 1, f"{name} has these lines {text.count(old)} times, the page expects once:\n{old}"
        text = text.replace(old, new)
    return text


@pytest.mark.slow
@pytest.mark.skipif(not IS_THOROUGH, reason="`make test-all` follows each page alone: THOROUGH=1")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_following_the_page_adds_what_it_promises(page, project):
    run_tests(follow(page.read_text(encoding="utf-8"), project), project)


@pytest.mark.slow
def test_following_all_pages_adds_all_that_they_promise(project):
    tests = {page.name: follow(page.read_text(encoding="utf-8"), project) for page in PAGES}
    assert [name for name, shown in tests.items() if not shown] == [], "these show no test"
    run_tests([test for shown in tests.values() for test in shown], project)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_an_extension_is_one_source_file(page):
    text = page.read_text(encoding="utf-8")
    assert len(re.findall(r'^```python title="src/', text, re.MULTILINE)) == 1
    assert len(re.findall(r'^```diff title="src/', text, re.MULTILINE)) <= 1
