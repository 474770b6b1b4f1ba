"""A JSON file larger than what may be held is read row by row, in a process whose memory is watched."""

import json
import subprocess
import sys

import pytest

WATCHED = """
import resource, sys, tracemalloc
from pathlib import Path
from texlens.data.readers.rows import json_rows
from texlens.data.load import load_split
json_rows.MAX_IN_MEMORY_BYTES = 1 << 20
load_split(sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = load_split(sys.argv[1])
print(len(rows), rows[len(rows) - 1].text[:4], rows.text(3)[:4], rows.rejected[0].where.rsplit("/", 1)[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
ROWS, TEXT = 20_000, 4_000


@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_memory_does_not_grow_with_the_file(tmp_path, ending):
    head, between, foot = ("[\n", ",\n", "\n]\n") if ending == "json" else ("", "\n", "\n")
    with (tmp_path / f"big.{ending}").open("w") as file:
        for row in range(ROWS):
            text = {"image": "a.png", "text": f"x{row % 7}" * (TEXT // 2)} if row != 9 else {"image": "a.png"}
            file.write((between if row else head) + json.dumps(text))
        file.write(foot)
    (tmp_path / "small.jsonl").write_text('{"image": "a.png", "text": "x"}\n')
    arguments = [str(tmp_path / f"big.{ending}"), str(tmp_path / "small.jsonl")]
    created = subprocess.run([sys.executable, "-c", WATCHED, *arguments], capture_output=True, text=True, timeout=300)
    read, grown = created.stdout.splitlines()
    assert read == f"{ROWS - 1} x0x0 x3x3 big.{ending} " + ("row 9" if ending == "json" else "line 10")
    assert int(grown) * 1024 < 24 << 20, "the file has 80 MB"
