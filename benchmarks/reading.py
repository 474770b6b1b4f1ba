"""`texlens read` on a folder of many images: images a second, memory over the run, a kill in the middle, broken files.

    python benchmarks/reading.py [--images 10000] [--broken 5] [--jobs auto] [--folder DIR] [--write benchmarks/results]

Formulas of 2 to 8 tokens are drawn at 12 pixels an em; DIR keeps them for the next run. The command is killed (SIGKILL)
once a quarter is read, and started again. Then every image must be in the file once, the broken ones with `error`,
and nothing that was there before the kill may have changed. Resident memory is that of the second start, sampled
twice a second from its first reading on: the first third of that time against the last. On a busy machine images a
second of processor time say more than of the clock.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from result import write_result

from texlens.latex.generate.random_formulas import RandomFormulas
from texlens.latex.render.formats import render_png

LIMIT_S = 3_600


def draw(folder: Path, images: int, broken: int) -> None:
    """The images, unless they are there from an earlier run of as many."""
    if (folder / "drawn").is_file() and (folder / "drawn").read_text() == f"{images} {broken}":
        return
    rng, generator = random.Random(0), RandomFormulas()
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(images):
        subfolder = folder / f"{number // 1000:02d}"
        subfolder.mkdir(exist_ok=True)
        picture = render_png(generator.sample(rng, rng.randint(2, 8)), pixels_per_em=12)
        (subfolder / f"{number:06d}.png").write_bytes(picture if number >= broken else picture[: len(picture) // 2])
    (folder / "drawn").write_text(f"{images} {broken}")


def started(folder: Path, out: Path, jobs: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "texlens", "read", str(folder), "-o", str(out), "--jobs", jobs]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines(out: Path) -> int:
    return out.read_bytes().count(b"\n") if out.is_file() else 0


def killed(folder: Path, out: Path, jobs: str, at: int) -> dict:
    """Reads until `at` images are in the file, and is killed there."""
    began, child = time.monotonic(), started(folder, out, jobs)
    while lines(out) < at and child.poll() is None and time.monotonic() - began < LIMIT_S:
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    return {"exit_code": child.returncode, "whole_lines": lines(out), "seconds": round(time.monotonic() - began, 1)}


def resumed(folder: Path, out: Path, jobs: str) -> dict:
    """Reads the rest, and watches the memory meanwhile."""
    before, began, child = lines(out), time.monotonic(), started(folder, out, jobs)
    process, memory, first_s, cpu_s = psutil.Process(child.pid), [], 0.0, 0.0
    while child.poll() is None:
        try:
            memory_mib, times = process.memory_info().rss / 2**20, process.cpu_times()
        except psutil.NoSuchProcess:
            break
        if memory_mib == 0:
            break
        cpu_s = times.user + times.system
        if memory or lines(out) > before:
            first_s = first_s or time.monotonic() - began
            memory.append(memory_mib)
        time.sleep(0.5)
    output, complaint = child.communicate()
    seconds, read, third = time.monotonic() - began, lines(out) - before, max(1, len(memory) // 3)
    return {
        "read": read,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_s, 1),
        "first_readings_after_s": round(first_s, 1),
        "images_per_second": round(read / seconds, 2),
        "images_per_cpu_second": round(read / max(cpu_s, 1e-9), 2),
        "memory_mib": {
            "first_third": round(statistics.median(memory[:third])),
            "last_third": round(statistics.median(memory[-third:])),
            "highest": round(max(memory)),
        },
        "exit_code": child.returncode,
        "output": output.strip(),
        "complaint": " ".join(complaint.split())[-400:],
    }


def check(folder: Path, out: Path, earlier: list[str], images: int, broken: int) -> dict:
    """What is in the file, against what is in the folder."""
    written = out.read_text().splitlines()
    rows = [json.loads(line) for line in written]
    names = {str(path) for path in folder.rglob("*.png")}
    return {
        "images": images,
        "lines": len(rows),
        "missing": len(names - {row["image"] for row in rows}),
        "doubled": len(rows) - len({row["image"] for row in rows}),
        "changed_after_the_kill": sum(new != old for new, old in zip(written, earlier, strict=False)),
        "failed": sum("error" in row for row in rows),
        "broken": broken,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--broken", type=int, default=5)
    parser.add_argument("--jobs", default="auto")
    parser.add_argument("--folder", type=Path, help="images kept for the next run; default: one that is removed")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as aside:
        folder, out = options.folder or Path(aside) / "images", Path(aside) / "out.jsonl"
        draw(folder, options.images, options.broken)
        figures: dict = {"images": options.images, "jobs": options.jobs, "load_average": round(os.getloadavg()[0], 1)}
        figures["killed"] = killed(folder, out, options.jobs, options.images // 4)
        print(json.dumps(figures), flush=True)
        earlier = out.read_text().splitlines()[: figures["killed"]["whole_lines"]]
        figures["resumed"] = resumed(folder, out, options.jobs)
        figures["file"] = check(folder, out, earlier, options.images, options.broken)
        print(json.dumps(figures, indent=1), flush=True)
    if options.write:
        command = (
            f"python benchmarks/reading.py --images {options.images} --jobs {options.jobs} --write benchmarks/results"
        )
        write_result(options.write, "reading", command, ("torch", "transformers", "pillow"), figures)


if __name__ == "__main__":
    main()
