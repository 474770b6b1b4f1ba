"""Seconds of CPU that the data page takes over 100,000 rows: opening, a page, a search, an edit; and its memory.

    python benchmarks/browse_rows.py --rows 100000 --out benchmarks/results/browse-rows_cpu_DATE.json

Rows are parquet in a temporary folder: drawn labels of the demo with numbers, each with one of the demo's images.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from texlens.core.environment import describe_environment
from texlens.core.files import write_json
from texlens.data.browse.browser import DataBrowser
from texlens.data.browse.query import RowQuery
from texlens.data.edits.log import EditLog
from texlens.data.load import load_split

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
REPEATS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder / "train-00000-of-00001.parquet", arguments.rows)
        result = _measure(folder, arguments.rows)
    for what, value in result.items():
        print(f"{what}: {value}")
    if arguments.out:
        about = {
            "what": "data page",
            "date": str(date.today()),
            "command": f"python benchmarks/browse_rows.py --rows {arguments.rows}",
        }
        write_json(arguments.out, {**about, "environment": describe_environment(), "result": result})


def _write(path: Path, rows: int) -> None:
    demo = load_split("demo", split="train")
    images = [{"bytes": sample.image.encoded(), "path": None} for sample in demo]
    texts = [f"{demo.text(number % len(demo))} + {number}" for number in range(rows)]
    column = pa.array([images[number % len(images)] for number in range(rows)], IMAGE)
    pq.write_table(pa.table({"image": column, "text": texts}), path)


def _measure(folder: Path, rows: int) -> dict[str, float]:
    process = psutil.Process()
    before = process.memory_info().rss
    began = time.process_time()
    browser = DataBrowser({"train": load_split(str(folder))}, EditLog(folder / "edits.jsonl"))
    result = {"rows": rows, "open_cpu_s": round(time.process_time() - began, 3)}
    result["first_page_cpu_s"] = _once(lambda: browser.page("train", RowQuery()))
    result["page_cpu_s"] = _median(lambda turn: browser.page("train", RowQuery(), first=turn * rows // (REPEATS + 1)))
    result["search_cpu_s"] = _median(lambda turn: browser.page("train", RowQuery(text=f"frac {turn}")))
    result["search_and_order_cpu_s"] = _median(
        lambda turn: browser.page("train", RowQuery(text=f"{turn}1", order="longest"))
    )
    result["first_edit_cpu_s"] = _once(lambda: _edit(browser, 0))
    result["edit_and_page_cpu_s"] = _median(
        lambda turn: (_edit(browser, 100 + turn), browser.page("train", RowQuery()))
    )
    result["apply_edits_cpu_s"] = _once(lambda: load_split(str(folder), edits=str(folder / "edits.jsonl")))
    result["memory_mib"] = round((process.memory_info().rss - before) / 2**20)
    result["file_mib"] = round((folder / "train-00000-of-00001.parquet").stat().st_size / 2**20)
    return result


def _edit(browser: DataBrowser, row: int) -> None:
    browser.edit(("train", row), "label", "x", who="benchmark", expected=None)


def _once(action: Callable[[], object]) -> float:
    began = time.process_time()
    action()
    return round(time.process_time() - began, 4)


def _median(action: Callable[[int], object]) -> float:
    return sorted(_once(lambda turn=turn: action(turn)) for turn in range(REPEATS))[REPEATS // 2]


if __name__ == "__main__":
    main()
