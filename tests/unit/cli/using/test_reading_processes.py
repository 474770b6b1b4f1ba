"""`texlens read --processes` with the bundled model, and what a killed one leaves."""

import json
import os
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from tests.fixtures.drawn_images import drawn
from texlens.cli.main import app
from texlens.cli.using.reading_processes import PART, part_of_process
from texlens.inference.bulk.shards import Shard, parts_of

slow = pytest.mark.skipif("KILL_SEEDS" not in os.environ, reason="takes long; `make test-all` sets KILL_SEEDS")


def folder_of(tmp_path, count):
    scans = tmp_path / "scans"
    scans.mkdir()
    for number in range(count):
        (scans / f"{number}.png").write_bytes(drawn(120, 40, seed=number))
    (scans / "broken.png").write_bytes(b"no image")
    return tmp_path


@pytest.fixture
def folder(tmp_path):
    return folder_of(tmp_path, 8)


def command(folder, *options):
    output = folder / "out.jsonl"
    arguments = ["read", str(folder / "scans"), "-o", str(output), "--max-tokens", "4", *options]
    return [sys.executable, "-m", "texlens", *arguments], output


def lines(output):
    return [json.loads(line) for line in output.read_text().splitlines()]


@slow
def test_two_processes_read_what_one_reads_and_report_as_one_does(folder):
    run, output = command(folder, "--processes", "2")
    process = subprocess.run(run, capture_output=True, text=True, timeout=240)
    together = {row["image"]: row for row in lines(output)}
    assert process.returncode == 2
    assert "broken.png" in process.stderr
    assert "8 read into" in process.stdout
    assert parts_of(output) == []

    output.unlink()
    run, output = command(folder)
    assert subprocess.run(run, capture_output=True, text=True, timeout=240).returncode == 2
    single = {row["image"]: row for row in lines(output)}
    assert together.keys() == single.keys()
    assert {name: row.get("latex") for name, row in together.items()} == {
        name: row.get("latex") for name, row in single.items()
    }


@slow
def test_what_killed_processes_read_is_not_read_again(tmp_path):
    folder = folder_of(tmp_path, 80)
    run, output = command(folder, "--processes", "2", "--batch-size", "1")
    process = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not any(path.stat().st_size for path in parts_of(output)):
        time.sleep(0.02)
    process.kill()
    process.wait()
    finished = None
    while finished is None or (b"another process writes" in finished.stderr and time.monotonic() < deadline + 60):
        finished = subprocess.run(command(folder)[0], capture_output=True, timeout=240)  # parts end with their launcher
    rows = lines(output)

    assert b"images already" in finished.stderr
    assert sorted(row["image"] for row in rows) == sorted({row["image"] for row in rows})
    assert len(rows) == 81
    assert parts_of(output) == []


def test_a_shard_is_read_alone(folder):
    (_, _, _, *arguments), output = command(folder, "--shard", "1/2")
    CliRunner().invoke(app, arguments)
    names = {row["image"] for row in lines(output)} if output.exists() else set()
    expected = {str(path) for path in (folder / "scans").iterdir()}
    assert names == {name for name in expected if Shard(1, 2).holds(name)}


def test_a_part_needs_an_output_file(folder):
    run = [sys.executable, "-m", "texlens", "read", str(folder / "scans"), "--shard", "1/2"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=240)
    assert (done.returncode, "add -o FILE" in done.stderr) == (2, True)


def test_the_part_of_a_process_comes_from_its_launcher():
    assert part_of_process({}) is None
    assert part_of_process({PART: "1", "RANK": "2", "WORLD_SIZE": "4"}) == Shard(3, 4)
