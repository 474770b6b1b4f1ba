"""Damaged and hostile checkpoints, adapters, run folders, run files, chat templates and requests.

A whole input of each kind is damaged at random, or replaced by a listed one, and met by a command in a process of its
own with bounds of time and memory. Counted: `used` (the damage did not matter, or was left out with a note), `refused`
(one line, exit code 2), `traceback`, `crash`, `timeout` (over 20 s of processor time), `memory` (over 1.5 GiB more).
Damaged data files are the subject of fuzz_data.py.

    python benchmarks/hostile_input.py --cases 60 --write benchmarks/results
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(1, str(Path(__file__).parents[1]))

from hostile.bounded import bounded
from hostile.cases import Case, Cases, write_shared
from result import write_result


def import_all() -> None:
    """So that a forked case costs no import."""
    import datasets  # noqa: F401
    import fastapi.testclient  # noqa: F401
    import peft  # noqa: F401
    import tests.unit.serve.conftest  # noqa: F401

    import texlens.evaluation.run
    import texlens.exporting.pipeline
    import texlens.inference.open
    import texlens.serve.app
    import texlens.workflows.train_run  # noqa: F401


def run_case(case: Case, folder: Path) -> tuple[str, float, float]:
    """Kind of outcome, processor seconds, and MiB beyond the parent's; a fault is printed with its log's end."""
    shutil.rmtree(folder / "case", ignore_errors=True)
    (folder / "case").mkdir()
    case.prepare(folder / "case")
    outcome = bounded(lambda: case.call(folder / "case"), folder / "log")
    if outcome.is_fault:
        print(json.dumps({"fault": outcome.kind, "case": case.name, "log": outcome.log[-1500:]}), file=sys.stderr)
    return outcome.kind, outcome.cpu_s, outcome.growth_mib


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=60, help="of each group, at most")
    parser.add_argument("--groups", help="only these, with commas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, help="folder of the results")
    arguments = parser.parse_args()
    import_all()
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    results: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["TEXLENS_CACHE"] = str(folder / "cache")
        (folder / "shared").mkdir()
        shared = bounded(lambda: write_shared(folder / "shared") or 0, folder / "log")
        if not (folder / "shared/export/texlens.json").is_file():
            raise SystemExit(f"the undamaged input failed: {shared.log[-2000:]}")
        for group, cases in Cases(folder / "shared", arguments.seed).groups(arguments.cases).items():
            if arguments.groups and group not in arguments.groups.split(","):
                continue
            outcomes = [run_case(case, folder) for case in cases]
            counts = Counter(kind for kind, _, _ in outcomes)
            slowest, largest = (max((outcome[part] for outcome in outcomes), default=0.0) for part in (1, 2))
            results[group] = {**dict(sorted(counts.items())), "slowest_cpu_s": slowest, "largest_growth_mib": largest}
            print(group, json.dumps(results[group]), flush=True)
    if arguments.write:
        command = f"python benchmarks/hostile_input.py --cases {arguments.cases} --seed {arguments.seed}"
        values = {"cases_per_group": arguments.cases, "seed": arguments.seed, "groups": results}
        write_result(arguments.write, "hostile input", command, ("torch", "transformers", "peft"), values)
    return 1 if any({"traceback", "crash", "timeout", "memory"} & set(counts) for counts in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
