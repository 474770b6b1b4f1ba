"""The bundled model on handwriting of people: CROHME 2014's expression rate after a few minutes of one GPU.

    python benchmarks/crohme.py --data CROHME --work FOLDER --minutes 5 [--adapter lora] [--write benchmarks/results]

`CROHME` holds parquet files of `train` and `test2014` (image, text). The rows are brought to one state first (dark ink
on white paper, glyphs of 20 pixels); a short training measures the speed, then `benchmarks/crohme.yaml` is trained for
as many epochs as fit into `--minutes`, so that the learning rate falls to zero. The data is CC BY-NC-SA 3.0:
experiments only.
"""

import argparse
import io
import json
import subprocess
import sys
import time
from multiprocessing import Pool
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet
from PIL import Image
from result import write_result

from texlens.inputs.image_preparation import Preparation, prepare

RECIPE = Path(__file__).with_name("crohme.yaml")
HANDWRITING = Preparation(usual_glyph_px=20.0, min_glyph_px=18.0, max_glyph_px=22.0)
SPLITS = {"train": "train-*.parquet", "test2014": "test2014-*.parquet"}
LORA = ("adapter={kind: lora, rank: 32, alpha: 64, targets: [all-linear]}", "train.optimizer.learning_rate=2e-3")
PUBLISHED = {"BTTR (Zhao et al. 2021)": 54.0, "CoMER (Zhao and Gao 2022)": 59.3}
"""Expression rates on CROHME 2014 of models that were trained on its train split with augmentation."""
TRIAL_STEPS = 24
SPARE = 0.9
"""Share of the minutes that the epochs are planned for."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5, help="of training")
    parser.add_argument("--adapter", choices=["full", "lora"], default="full")
    parser.add_argument("--rows", type=int, help="of each split at most, for a trial")
    parser.add_argument("--set", action="append", default=[], help="further settings")
    parser.add_argument("--processes", type=int, default=8, help="that prepare images")
    parser.add_argument("--write", type=Path, help="folder for the result")
    args = parser.parse_args()
    rows = prepare_rows(args.data, args.work / "rows", args.rows, args.processes)
    extra = [*(LORA if args.adapter == "lora" else ()), *args.set]
    rate = speed(args.work, extra)
    epochs = max(1.0, round(SPARE * args.minutes * 60 * rate / rows["train"], 1))
    print(f"{rate:.0f} rows/s: {epochs} epochs of {rows['train']} rows", flush=True)
    start = time.perf_counter()
    train(args.work, args.adapter, [*extra, f"train.epochs={epochs}", f"train.minutes={args.minutes}"])
    figures = result(args.work / args.adapter / "crohme", rows, epochs, rate, time.perf_counter() - start)
    print(json.dumps(figures), flush=True)
    if args.write:
        options = f"--minutes {args.minutes} --adapter {args.adapter}"
        command = f"python benchmarks/crohme.py --data CROHME --work FOLDER {options}"
        packages = ("torch", "transformers", "texlens")
        write_result(args.write, f"crohme {args.adapter}", command, packages, figures, device=device_name())


def device_name() -> str:
    import torch

    return torch.cuda.get_device_name().split()[-1].lower() if torch.cuda.is_available() else "cpu"


def prepare_rows(data: Path, out: Path, limit: int | None, processes: int) -> dict[str, int]:
    """Parquet files of the splits with images in one state; the number of rows of each."""
    out.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = {}
    for split, pattern in SPLITS.items():
        rows = [row for file in sorted(data.glob(pattern)) for row in parquet.read_table(file).to_pylist()][:limit]
        with Pool(processes) as pool:
            images = pool.map(prepared, [row["image"]["bytes"] for row in rows], chunksize=64)
        table = [
            {"image": {"bytes": image, "path": None}, "text": row["text"]}
            for image, row in zip(images, rows, strict=True)
        ]
        parquet.write_table(arrow.Table.from_pylist(table), out / f"{split}-00000-of-00001.parquet")
        counts[split] = len(rows)
    return counts


def prepared(encoded: bytes) -> bytes:
    file = io.BytesIO()
    prepare(Image.open(io.BytesIO(encoded)).convert("RGB"), HANDWRITING).image.convert("L").save(file, "PNG")
    return file.getvalue()


def speed(work: Path, extra: list[str]) -> float:
    """Rows a second of a short training, its first logged steps left out."""
    settings = [f"train.steps={TRIAL_STEPS}", "train.logging.every_steps=4", "name=trial", *extra]
    train(work, "trial", settings, "--no-compare", "--no-calibrate")
    lines = (work / "trial/trial/metrics.jsonl").read_text().splitlines()
    rates = [row["samples_per_s"] for row in map(json.loads, lines) if "samples_per_s" in row and row["step"] > 8]
    return max(rates)


def train(work: Path, folder: str, settings: list[str], *flags: str) -> None:
    (work / folder).mkdir(exist_ok=True)
    command = [sys.executable, "-m", "texlens", "train", str(RECIPE), *flags]
    for setting in (f"data.path={work / 'rows'}", f"output={work / folder}", *settings):
        command += ["--set", setting]
    subprocess.run(command, check=True)


def result(run: Path, rows: dict[str, int], epochs: float, rate: float, seconds: float) -> dict:
    """Scores with intervals of the untuned and the tuned model on the test rows."""
    import torch

    compared = json.loads((run / "scores/compare.test.json").read_text())
    return {
        "hardware": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "rows": rows,
        "epochs": epochs,
        "rows_per_s": round(rate),
        "seconds_with_reading": round(seconds),
        "published": PUBLISHED,
        "systems": {name: system["scores"] for name, system in compared["systems"].items()},
    }


if __name__ == "__main__":
    main()
