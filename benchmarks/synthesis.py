"""How many synthetic rows a second `texlens data synth` writes, and in how much memory.

python benchmarks/synthesis.py --rows 6000 --processes 2 --out benchmarks/results/synthesis_cpu_2026-11-21.json
"""

import argparse
import json
import os
import platform
import resource
import shutil
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path

import psutil

from texlens.synthesis import STYLES, RowRecipe, synthesize

PACKAGES = ("texlens", "numpy", "pillow", "pyarrow", "freetype-py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=6000, help="rows of each style")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--styles", nargs="+", default=list(STYLES))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    report = {
        "command": "python benchmarks/synthesis.py " + " ".join(sys.argv[1:]),
        "hardware": {"cpus": os.cpu_count(), "machine": platform.machine(), "load_before": os.getloadavg()[0]},
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "styles": {style: measured(style, args.rows, args.processes) for style in args.styles},
    }
    text = json.dumps(report, indent=2)
    print(text)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")


def measured(style: str, rows: int, processes: int) -> dict:
    """Start-up of the processes counts too; memory is that of this process and all it started, together."""
    folder = Path(tempfile.mkdtemp()) / style
    peaks: list[tuple[int, float]] = []
    done = [0]
    stop = threading.Event()
    watch = threading.Thread(target=_watch_memory, args=(done, peaks, stop))
    watch.start()
    began, used = time.monotonic(), _cpu_seconds()
    account = synthesize(
        RowRecipe(style), folder, rows, processes=processes, on_progress=lambda number: done.__setitem__(0, number)
    )
    seconds, used = time.monotonic() - began, _cpu_seconds() - used
    stop.set()
    watch.join()
    size = sum(file.stat().st_size for file in folder.rglob("*.parquet"))
    shutil.rmtree(folder.parent)
    late = [mib for number, mib in peaks if number > rows / 2]
    return {
        "rows": account["kept"],
        "seconds": round(seconds, 1),
        "rows_per_s": round(rows / seconds),
        "cpu_seconds": round(used, 1),
        "rows_per_cpu_second": round(rows / used),
        "bytes_a_row": round(size / rows),
        "peak_mib": round(max(mib for _, mib in peaks)),
        "peak_mib_second_half": round(max(late, default=0)),
    }


def _cpu_seconds() -> float:
    """Of this process and of those that it started and that have ended: free of what else the machine does."""
    mine, theirs = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return mine.ru_utime + mine.ru_stime + theirs.ru_utime + theirs.ru_stime


def _watch_memory(done: list[int], peaks: list[tuple[int, float]], stop: threading.Event) -> None:
    me = psutil.Process()
    while not stop.wait(0.2):
        family = [me, *me.children(recursive=True)]
        total = 0
        for process in family:
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        peaks.append((done[0], total / 2**20))


if __name__ == "__main__":
    main()
