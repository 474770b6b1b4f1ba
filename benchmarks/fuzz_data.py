"""Damaged data files of every format: each must be read, in part with its rejected rows named, or refused in one line.

A valid file of each format is changed at random (bytes flipped, cut, doubled, replaced), read in a process of its own
with bounds of time and memory, and every row's image is decoded. Counted: `used` (all or some rows), `refused` (one
line), `traceback`, `crash` (the process died), `timeout` (20 s of processor time), `memory` (over 1.5 GiB more).

    python benchmarks/fuzz_data.py --cases 200 --write benchmarks/results
"""

import argparse
import io
import json
import os
import random
import sys
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

from hostile.bounded import bounded
from hostile.damage import damaged_bytes
from PIL import Image
from result import write_result

from texlens.core.errors import TexlensError
from texlens.data.load import load_split

REFUSED, TRACEBACK = 2, 1


def png(seed: int) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((48, 24), seed + 1).save(file, "PNG")
    return file.getvalue()


def write_valid(folder: Path) -> dict[str, Path]:
    """A valid file of each format, with its images; the file of each is the one that is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    turns = [{"role": "user", "content": "<image>Read"}, {"role": "assistant", "content": "x^2"}]
    texts = {
        "csv": ("rows.csv", "image,text\n" + "".join(f'a.png,"x_{n}, y"\n' for n in range(6))),
        "jsonl": ("rows.jsonl", "".join(json.dumps({"image": "a.png", "text": f"x_{n}"}) + "\n" for n in range(6))),
        "records": ("rows.json", json.dumps([{"image": "a.png", "text": f"x_{n}"} for n in range(6)])),
        "messages": ("rows.json", json.dumps([{"messages": turns, "images": ["a.png"]}] * 6)),
        "inkml": ("a.inkml", '<ink><annotation type="truth">x</annotation><trace>1 2, 3 4, 5 9</trace></ink>'),
        "coco": (
            "captions_train2017.json",
            json.dumps(
                {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [{"image_id": 1, "caption": "A cat."}]}
            ),
        ),
    }
    files = {}
    for name, (file, text) in texts.items():
        files[name] = _write_case(folder / name, file, text.encode())
    files["image folder"] = _write_case(folder / "images", "a.png", png(0))
    (folder / "images" / "a.txt").write_text("x")
    table = pa.table({"image": [png(n) for n in range(6)], "text": [f"x_{n}" for n in range(6)]})
    data = io.BytesIO()
    pq.write_table(table, data)
    files["parquet"] = _write_case(folder / "parquet", "train.parquet", data.getvalue())
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.csv", "image,text\na.png,x\n")
        archive.writestr("a.png", png(0))
    files["zip"] = _write_case(folder / "zip", "set.zip", data.getvalue())
    return files


def _write_case(folder: Path, name: str, data: bytes) -> Path:
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(png(0))
    (folder / name).write_bytes(data)
    return folder / name


def read_all(path: Path) -> None:
    for row in load_split(str(path)):
        for image in row.images:
            try:
                image.load()
            except TexlensError:
                continue


def read_in_one_line(path: Path) -> int:
    """The exit code that a command would have: 0, or 2 with one line."""
    try:
        read_all(path)
    except TexlensError as error:
        return REFUSED if "\n" not in str(error) else TRACEBACK
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200, help="of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, help="folder of the results")
    arguments = parser.parse_args()
    results: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TEXLENS_CACHE"] = str(Path(folder) / "cache")
        for name, file in write_valid(Path(folder) / "valid").items():
            data, counts, slowest_s, growth_mib = file.read_bytes(), Counter(), 0.0, 0.0
            log = Path(folder) / "log"
            for case in range(arguments.cases):
                file.write_bytes(damaged_bytes(data, random.Random(f"{arguments.seed} {name} {case}")))
                path = file if name != "image folder" else file.parent
                outcome = bounded(lambda path=path: read_in_one_line(path), log)
                counts[outcome.kind] += 1
                slowest_s, growth_mib = max(slowest_s, outcome.cpu_s), max(growth_mib, outcome.growth_mib)
            bounds = {"slowest_cpu_s": slowest_s, "largest_growth_mib": growth_mib}
            results[name] = {**dict(sorted(counts.items())), **bounds}
            print(name, results[name], flush=True)
    if arguments.write:
        command = f"python benchmarks/fuzz_data.py --cases {arguments.cases} --seed {arguments.seed}"
        values = {"cases_per_format": arguments.cases, "seed": arguments.seed, "formats": results}
        write_result(arguments.write, "fuzz data", command, ("pyarrow", "pillow"), values)
    faults = {"traceback", "timeout", "crash", "memory"}
    return 1 if any(faults & set(counts) for counts in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
