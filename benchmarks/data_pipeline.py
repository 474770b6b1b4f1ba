"""Rows a second and peak memory of the `texlens data` commands on many small rows, each run as a user runs it.

    python benchmarks/data_pipeline.py [--rows 100000] [--folder DIR] [--only import …] [--write benchmarks/results]

The rows: PNGs of 48x32 to 200x60 pixels (1,000 of them drawn from noise, 0.5 to 2 KB, repeated with another comment in
each so that no two files are equal) with texts of LaTeX. They are made once in DIR as parquet and as ShareGPT JSON that
names 1,000 files. A stage is one command in a process of its own; rows a second count the whole process, start-up
included, and memory is its largest resident set with that of its children.
"""

import argparse
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from result import write_result

PICTURES = 1_000
SHARD_ROWS = 10_000


@dataclass(frozen=True)
class Stage:
    """A command on the benchmark's folder. `again` runs it a second time, with what it left standing."""

    name: str
    arguments: Callable[[Path], list[str]]
    makes: str | None = None
    again: bool = False


STAGES = (
    Stage("import", lambda at: ["import", str(at / "source"), "-o", str(at / "imported")], "imported", again=True),
    Stage(
        "convert", lambda at: ["convert", str(at / "sharegpt"), "-o", str(at / "converted")], "converted", again=True
    ),
    Stage(
        "split by label and image",
        lambda at: ["split", str(at / "imported"), "--by", "label,image", "-o", str(at / "divided")],
        "divided",
    ),
    Stage(
        "mix",
        lambda at: ["mix", f"new={at / 'imported'}:1.0", f"old={at / 'converted'}:0.1", "-o", str(at / "mixed")],
        "mixed",
    ),
    Stage(
        "export to sharegpt",
        lambda at: ["export", str(at / "imported"), "--to", "sharegpt", "-o", str(at / "exported")],
        "exported",
    ),
)


def make_rows(at: Path, rows: int) -> None:
    """The two sources, unless they stand there from an earlier run of as many rows."""
    if (at / "rows").is_file() and (at / "rows").read_text() == str(rows):
        return
    for name in ("source", "sharegpt"):
        shutil.rmtree(at / name, ignore_errors=True)
        (at / name).mkdir(parents=True)
    draw = random.Random(0)
    pictures = [_picture(seed) for seed in range(PICTURES)]
    texts = [_text(draw, row) for row in range(rows)]
    shards = -(-rows // SHARD_ROWS)
    for shard in range(shards):
        numbers = range(shard * SHARD_ROWS, min(rows, (shard + 1) * SHARD_ROWS))
        images = [{"bytes": _commented(pictures[row % PICTURES], row), "path": f"{row}.png"} for row in numbers]
        table = pa.table({"image": images, "text": [texts[row] for row in numbers]})
        pq.write_table(table, at / "source" / f"train-{shard:05d}-of-{shards:05d}.parquet")
    _write_sharegpt(at / "sharegpt", pictures, texts)
    (at / "rows").write_text(str(rows))


def run_stage(stage: Stage, at: Path, rows: int) -> dict:
    if stage.makes:
        shutil.rmtree(at / stage.makes, ignore_errors=True)
    measured = {"stage": stage.name, **_measured(stage, at, rows)}
    if stage.again:
        measured["again_seconds"] = _measured(stage, at, rows)["seconds"]
    return measured


def _measured(stage: Stage, at: Path, rows: int) -> dict:
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "texlens", "data", *stage.arguments(at)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert child.stdout is not None
    output = child.stdout.read().decode()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "rows_per_second": round(rows / seconds),
        "peak_memory_gib": round(used.ru_maxrss * 1024 / 2**30, 3),
        "exit_code": child.returncode,
        "output": output.splitlines()[-1] if output else "",
    }


def _picture(seed: int) -> bytes:
    draw = np.random.default_rng(seed)
    width, height = int(draw.integers(48, 200)), int(draw.integers(32, 60))
    ink = (draw.random((height, width)) < 0.08).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(255 - 255 * ink).save(file, "PNG")
    return file.getvalue()


def _commented(png: bytes, row: int) -> bytes:
    """The same picture in a file of its own content: a comment before its last chunk."""
    chunk = b"tEXtrow\0" + str(row).encode()
    length = (len(chunk) - 4).to_bytes(4, "big")
    return png[:-12] + length + chunk + zlib.crc32(chunk).to_bytes(4, "big") + png[-12:]


def _text(draw: random.Random, row: int) -> str:
    letters = draw.choices("abcxyz", k=draw.randint(2, 12))
    return rf"\frac {{ {' + '.join(letters)} }} {{ x _ {{ {row} }} }}"


def _write_sharegpt(folder: Path, pictures: list[bytes], texts: list[str]) -> None:
    (folder / "images").mkdir()
    for number, picture in enumerate(pictures):
        (folder / "images" / f"{number}.png").write_bytes(picture)
    with (folder / "train.json").open("w") as file:
        for row, text in enumerate(texts):
            turns = [{"from": "human", "value": "<image>Read"}, {"from": "gpt", "value": text}]
            line = {"id": str(row), "images": [f"images/{row % len(pictures)}.png"], "conversations": turns}
            file.write(("[\n" if row == 0 else ",\n") + json.dumps(line))
        file.write("\n]\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="kept for the next run; default: one that is removed")
    parser.add_argument("--only", nargs="*", default=[], help="stages whose names begin so")
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as aside:
        at = arguments.folder or Path(aside)
        make_rows(at, arguments.rows)
        chosen = [stage for stage in STAGES if not arguments.only or stage.name.startswith(tuple(arguments.only))]
        stages = []
        for stage in chosen:
            stages.append(run_stage(stage, at, arguments.rows))
            print(json.dumps(stages[-1]), flush=True)
    if arguments.write:
        command = f"python benchmarks/data_pipeline.py --rows {arguments.rows} --write benchmarks/results"
        write_result(
            arguments.write, "data pipeline", command, ("pyarrow",), {"rows": arguments.rows, "stages": stages}
        )


if __name__ == "__main__":
    main()
