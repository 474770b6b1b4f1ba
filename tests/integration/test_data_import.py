"""`texlens data import` from a hub on the loopback that answers slowly, wrongly, in part, or not at all."""

import json
import os
import subprocess
import sys

import pytest

from tests.unit.data.readers.hub_server import hub_of
from tests.unit.data.tables import write_splits
from texlens.data.folder.writer import read_folder

TRAIN = "train-00000-of-00001.parquet"


def imported(source, tmp_path, address, **environment):
    variables = {
        **os.environ,
        "HF_ENDPOINT": address,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "MODELSCOPE_DOMAIN": address,
        "MODELSCOPE_ENDPOINT": address,
        "MODELSCOPE_CACHE": str(tmp_path / "scope"),
        "NO_PROXY": "127.0.0.1",
        **environment,
    }
    command = [sys.executable, "-m", "texlens", "data", "import", source, "-o", str(tmp_path / "d"), "--json"]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300)


def stands_nothing(tmp_path):
    return not (tmp_path / "d").exists()


@pytest.fixture
def served(tmp_path):
    return write_splits(tmp_path / "set", train=["x", "y"], test=["z"])


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["slow", "cut", "busy"])
def test_a_hub_that_falters_once_is_asked_again(tmp_path, served, fault):
    faults = {TRAIN: [fault]}
    with hub_of(served, faults) as address:
        result = imported("owner/name", tmp_path, address)
        if result.returncode:
            assert result.returncode == 2, result.stderr
            assert len(result.stderr.strip().splitlines()[-1]) > 0
            assert stands_nothing(tmp_path)
            result = imported("owner/name", tmp_path, address)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["kept"] == 3
    assert faults[TRAIN] == []
    assert read_folder(tmp_path / "d")["train"].texts() == ["x", "y"]


@pytest.mark.slow
def test_a_hub_that_sends_something_else_is_an_error_of_one_line_and_leaves_nothing(tmp_path, served):
    with hub_of(served, {TRAIN: ["always:wrong"]}) as address:
        result = imported("owner/name", tmp_path, address)
    assert result.returncode == 2, result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("texlens: owner/name: ")
    assert stands_nothing(tmp_path)


@pytest.mark.slow
def test_a_hub_that_is_not_there_is_reported_at_once(tmp_path):
    result = imported("owner/name", tmp_path, "http://127.0.0.1:9")
    assert result.returncode == 2
    assert "check the network" in result.stderr
    assert stands_nothing(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["", "cut"])
def test_modelscopes_files_are_fetched_too(tmp_path, served, fault):
    pytest.importorskip("modelscope")
    with hub_of(served, {TRAIN: [fault] if fault else []}) as address:
        result = imported("modelscope:owner/name", tmp_path, address)
        if result.returncode:
            assert stands_nothing(tmp_path)
            result = imported("modelscope:owner/name", tmp_path, address)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["kept"] == 3
