"""Images that `texlens read` reads a second of one core's processor time: this version beside earlier ones, in one run.

    python benchmarks/nano_speed.py --images FOLDER --trees now=. before=EARLIER_CHECKOUT [--count 40] [--alone 8] \
        [--write benchmarks/results]

Every tree's own command reads the same files with one thread. `together` is all of them in one call, its start (a call
with two of them) taken off; `alone` is one file a call, start included, as someone who pastes a picture waits for it.
The trees take turns.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from result import write_result

ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder of PNG files")
    parser.add_argument("--trees", nargs="+", required=True, metavar="NAME=PATH")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--alone", type=int, default=8)
    parser.add_argument("--write", type=Path)
    args = parser.parse_args()
    trees = {name: Path(path).resolve() for name, path in (tree.split("=", 1) for tree in args.trees)}
    files = sorted(args.images.glob("*.png"))[: args.count]
    single = files[:: max(1, len(files) // args.alone)][: args.alone]
    seconds: dict[str, dict[str, list[float]]] = {name: {"together": [], "alone": []} for name in trees}
    for number in range(ROUNDS):
        for name in sorted(trees, reverse=bool(number % 2)):
            start = processor_seconds(trees[name], files[:2])
            whole = processor_seconds(trees[name], files)
            seconds[name]["together"].append((whole - start) / (len(files) - 2))
            singles = [processor_seconds(trees[name], [file]) for file in single]
            seconds[name]["alone"].append(sum(singles) / len(single))
            print(name, {way: round(values[-1], 3) for way, values in seconds[name].items()}, flush=True)
    figures = {
        name: {f"images_per_s_{way}": round(1 / sorted(values)[len(values) // 2], 2) for way, values in ways.items()}
        for name, ways in seconds.items()
    }
    print(figures)
    if args.write:
        command = f"python benchmarks/nano_speed.py --trees now=. before=EARLIER --count {args.count}"
        figures |= {"images": len(files), "alone": len(single), "rounds": ROUNDS, "seconds": seconds}
        write_result(args.write, "nano speed", command, ("torch", "transformers"), figures)


def processor_seconds(tree: Path, files: Sequence[Path]) -> float:
    """Of one `texlens read`, all its threads together."""
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            shutil.copy(file, folder)
        environment = os.environ | {
            "PYTHONPATH": str(tree / "src"),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        names = [str(Path(folder) / file.name) for file in files]
        command = [sys.executable, "-m", "texlens", "read", *names]
        before = os.times()
        subprocess.run(command, env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    main()
