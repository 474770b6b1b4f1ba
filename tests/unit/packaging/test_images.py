"""Dockerfile, conda environment and extras name files, extras and versions that exist."""

import re
import shlex
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = set(PROJECT["optional-dependencies"])
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PINS = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if re.fullmatch(r"[\w-]+==\S+", line)
)


def test_the_image_copies_files_that_exist_and_are_not_ignored():
    copied = [name for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE) for name in shlex.split(line)[:-1]]
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert copied
    for name in copied:
        assert (ROOT / name).exists(), name
        assert f"!{name.removeprefix('./')}" in ignore, name


def test_the_image_installs_extras_and_the_torch_that_exist():
    assert set(re.search(r"ARG EXTRAS=(\S+)", DOCKERFILE)[1].split(",")) <= EXTRAS
    assert re.search(r"torch==(\S+)", DOCKERFILE)[1] == PINS["torch"]
    user = re.search(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)
    assert user, "a number, as Kubernetes asks for"
    assert f"--uid {user[1]} texlens" in DOCKERFILE


def test_docs_build_the_image_with_arguments_that_it_has():
    page = (ROOT / "docs/installation.md").read_text()
    arguments = set(re.findall(r"--build-arg (\w+)=", page))
    assert arguments == {"TORCH_INDEX", "EXTRAS", "PIP_INDEX_URL"}
    assert all(f"ARG {name}=" in DOCKERFILE for name in arguments)


def test_the_conda_environment_installs_from_the_clone_with_its_constraints():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = (part["pip"] for part in environment["dependencies"] if isinstance(part, dict))
    assert "-c constraints.txt" in pip
    extras = re.search(r"\[(.+)\]", next(line for line in pip if line.startswith("-e .")))[1]
    assert set(extras.split(",")) <= EXTRAS


def test_trackers_are_pinned_in_the_range_of_their_extra():
    from packaging.requirements import Requirement

    for line in PROJECT["optional-dependencies"]["trackers"]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(PINS[requirement.name]), line
