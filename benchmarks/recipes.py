"""Every shipped recipe by its own settings through the trainer of `texlens train`, and other settings beside them.

    python benchmarks/recipes.py --output benchmarks/results/recipes_h200_DATE.json
    python benchmarks/recipes.py --only S1 --only dropout      # rows whose names contain one of these
    python benchmarks/recipes.py --tiny                        # models of a few layers on a CPU

Each row is a process of its own: a random full-size model, rows as in `fast_path_end_to_end.py`, adapter, optimizer and
step size of the recipe, pack size and recomputation on `auto`. Reported are samples and tokens a second, TFLOP/s with
the share of the matrix rate measured in the same process, the rate of the model alone, peak memory beside the plan, the
time to build kernels, and the notes of the run.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "src" / "texlens" / "recipes" if (ROOT / "src/texlens/recipes").exists() else ROOT / "recipes"
TEXT = ["text-attention", "text-mlp"]
LORA = {"kind": "lora", "rank": 16, "alpha": 16, "targets": TEXT}
MIXTURE = {"kind": "moe-lora", "experts": 2, "rank": 8, "alpha": 32, "targets": TEXT, "balance": 0.01}
B4, B30 = "Qwen3-VL-4B-Instruct", "Qwen3-VL-30B-A3B-Instruct"
OTHERS: dict[str, tuple[str, dict, int]] = {
    "4B r 16, 56 rows": (B4, LORA, 56),
    "4B r 16 dropout 0.05, 56 rows": (B4, {**LORA, "dropout": 0.05}, 56),
    "4B MoE-LoRA, 56 rows": (B4, MIXTURE, 56),
    "4B r 16 DoRA, 56 rows": (B4, {**LORA, "dora": True}, 56),
    "4B r 16 with vision and merger, 56 rows": (B4, {**LORA, "targets": [*TEXT, "vision", "merger"]}, 56),
    "30B-A3B q k v o, 56 rows": (B30, {**LORA, "targets": ["text-attention"]}, 56),
}
"""Model, adapter and rows of a step."""
CARRIED = ("batch_size", "gradient_accumulation", "optimizer")


def rows() -> dict[str, dict[str, Any]]:
    """Name to model, settings by branch and rows of a step."""
    table: dict[str, dict[str, Any]] = {}
    for file in sorted(RECIPES.glob("qwen*.yaml")):
        recipe = yaml.safe_load(file.read_text())
        train = {key: recipe["train"][key] for key in CARRIED if key in recipe["train"]}
        count = train.get("batch_size", 1) * train.get("gradient_accumulation", 1)
        values = {"adapter": recipe["adapter"], "train": train}
        if "quantize" in recipe.get("base", {}):
            values["base"] = recipe["base"]
        table[file.stem] = {"model": recipe["model"]["path"].split("/")[-1], "values": values, "rows": count}
    for name, (model, adapter, count) in OTHERS.items():
        values = {"adapter": adapter, "train": {"batch_size": count}}
        table[name] = {"model": model, "values": values, "rows": count}
    return table


def main() -> None:
    options = _options()
    if options.child:
        child(options)
        return
    report: dict[str, Any] = {"date": datetime.now(UTC).date().isoformat(), "rows": {}}
    for name, row in rows().items():
        if options.only and not any(part in name for part in options.only):
            continue
        report["rows"][name] = run_child(name, row, options)
        print(f"{name}: {json.dumps(report['rows'][name])[:300]}", flush=True)
        if options.output:
            Path(options.output).write_text(json.dumps(report, indent=1) + "\n")
    print(table_of(report["rows"]))


def run_child(name: str, row: dict, options) -> dict:
    """The report of one row from its own process, or why it failed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [sys.executable, __file__, "--child", name, "--output", str(out), "--steps", str(options.steps)]
        command += ["--tiny"] if options.tiny else []
        began = time.monotonic()
        try:
            process = subprocess.run(command, capture_output=True, text=True, timeout=options.limit_s, check=False)
        except subprocess.TimeoutExpired:
            return {"failed": f"over {options.limit_s} s"}
        spent = round(time.monotonic() - began, 1)
        if not out.exists():
            return {"failed": process.stderr.strip().splitlines()[-1:], "process_s": spent}
        return {"rows": row["rows"], **json.loads(out.read_text()), "process_s": spent}


def child(options) -> None:
    import fast_path_end_to_end as end_to_end
    import torch

    row = rows()[options.child]
    train = {**row["values"]["train"], "steps": options.steps, "checkpoints": {"every_steps": 100_000}}
    settings = SimpleNamespace(
        model=row["model"], rows=row["rows"], steps=options.steps, set=[], check_sync=False, tiny=options.tiny,
        values={**row["values"], "train": train},
    )  # fmt: skip
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        try:
            config = end_to_end.prepare_folder(Path(folder), settings)
            report = end_to_end.run(config, Path(folder), settings, device)
        except Exception as error:  # noqa: BLE001  one row's failure is reported and the others still run
            frame = traceback.extract_tb(error.__traceback__)[-1]
            report = {
                "failed": f"{type(error).__name__}: {str(error)[:300]} ({Path(frame.filename).name}:{frame.lineno})"
            }
    Path(options.output).write_text(json.dumps(report))


def table_of(report: dict[str, dict]) -> str:
    columns = (
        "end_to_end_samples_per_s",
        "model_alone_samples_per_s",
        "tokens_per_s",
        "tflops",
        "share_of_matrix_rate",
    )
    columns += ("peak_gib", "kernels_made_s", "first_step_s")
    lines = [f"{'row':44} " + " ".join(f"{column[:14]:>14}" for column in columns) + "  plan GiB, notes"]
    for name, row in report.items():
        if "failed" in row:
            lines.append(f"{name:44} failed: {row['failed']}")
            continue
        figures = " ".join(f"{row.get(column) or '':>14}" for column in columns)
        engine = row["engine"]
        lines.append(f"{name:44} {figures}  {engine.get('planned_gib')}, {engine.get('notes')}")
    return "\n".join(lines)


def _options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="PART", help="rows whose names contain it")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--limit-s", type=int, default=180, help="of a row")
    parser.add_argument("--output")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
