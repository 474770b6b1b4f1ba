"""Training from parquet through the whole program, beside the model alone on the same packs, in one process.

    python benchmarks/fast_path_end_to_end.py --output benchmarks/results/end-to-end_h200_DATE.json
    python benchmarks/fast_path_end_to_end.py --check-sync        # which lines make the host wait for the GPU
    python benchmarks/fast_path_end_to_end.py --tiny              # a model of a few layers, on the CPU
    python benchmarks/fast_path_end_to_end.py --loader            # decoding and packing alone, without a model

Drawn lines of text, PNG in one parquet file, of the sizes and answer lengths of `fast_path_rows.py`, are trained on by
the trainer of `texlens train`: decoding, patching, tokenizing and packing in the loader's workers, pinned memory, LoRA
on the seven text projections of a random full-size model, clipping, fused AdamW, logging every 10 steps. Samples a
second are those after the fifth step. Then the same packs, on the device already, go through forward, backward,
clipping and optimizer alone. `share` is the first rate over the second. Any setting of a run file can be given, such as
`--set train.workers=4`; of bases in few bits only `--set base.quantize=fp8`.
"""

import argparse
import io
import json
import multiprocessing
import platform
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from fast_path import flops, on
from fast_path_rows import (
    GIB,
    RANK,
    base_model,
    drawn_lengths,
    matrix_rate,
    settings_of,
    synchronize,
    work_of,
)
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from torch.utils.data import DataLoader
from transformers import TrainerCallback, set_seed

from texlens.adapters.build import build_adapter, build_plan
from texlens.config.load import build_config
from texlens.config.run import RunConfig
from texlens.core.run_folder import RunFolder
from texlens.inputs.build import build_splits
from texlens.inputs.dataset import ExampleDataset
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.inputs.pack import build_pack
from texlens.inputs.packed_collator import PackCollator
from texlens.models.build import BaseCheckpoint
from texlens.models.bundled import NANO_FOLDER
from texlens.models.checkpoint import read_config
from texlens.models.fp8 import quantize_in_fp8
from texlens.models.meta_model import build_config as build_model_config
from texlens.models.packed.forward import PackedForward, pack_spec
from texlens.models.processor import load_processor, load_tokenizer
from texlens.training.backends.choose import build_backend
from texlens.training.backends.packed import PackedBackend
from texlens.training.build import TrainContext, build_trainer
from texlens.training.prepare import Prepared
from texlens.training.workers import plan_workers

WARM = 5
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789+-=^_{}()"


def main() -> None:
    options = _options()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside)
        began = time.perf_counter()
        config = prepare_folder(folder, options)
        report = {
            "command": f"python benchmarks/fast_path_end_to_end.py {' '.join(sys.argv[1:])}".strip(),
            "date": datetime.now(UTC).date().isoformat(),
            "model": options.model,
            "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.machine(),
            "torch": torch.__version__,
            "rows_made_s": round(time.perf_counter() - began, 1),
        }
        result = loader_alone(config, options) if options.loader else run(config, folder, options, device)
    report |= result
    print(json.dumps(report, indent=1))
    if options.output:
        Path(options.output).write_text(json.dumps(report, indent=1) + "\n")


def prepare_folder(folder: Path, options) -> RunConfig:
    """Writes the rows and a checkpoint without weights, and returns the settings of a run over them."""
    tokenizer = load_tokenizer(NANO_FOLDER)
    settings = settings_of(options.model, options.tiny)
    names = {"image_token_id": "image_pad", "video_token_id": "video_pad"}
    names |= {"vision_start_token_id": "vision_start", "vision_end_token_id": "vision_end"}
    settings = settings | {key: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for key, name in names.items()}
    existing = getattr(options, "data", None)
    checkpoint, data = folder / "model", existing or folder / "data"
    checkpoint.mkdir()
    tokenizer.save_pretrained(checkpoint)
    (checkpoint / "config.json").write_text(json.dumps(settings))
    if existing is None:
        write_rows(data, options.rows * options.steps, settings["vision_config"].get("patch_size", 14), tokenizer)
    values = {
        "model": {"path": str(checkpoint), "min_pixels": 4096},
        "data": {"path": str(data), "checks": {"images": "headers"}, "splits": {"validation": None, "test": None}},
        "adapter": {"kind": "lora", "rank": RANK, "alpha": RANK, "targets": ["text-attention", "text-mlp"]},
        "train": {
            "steps": options.steps,
            "batch_size": options.rows,
            "compute": {"pack_tokens": 18_432, "recompute": "none"},
            "checkpoints": {"every_steps": 100_000},
        },
    }
    for branch, settings_of_branch in (getattr(options, "values", None) or {}).items():
        values[branch] = settings_of_branch
    return build_config(values, overrides=options.set)


def write_rows(folder: Path, count: int, patch: int, tokenizer) -> None:
    """A parquet file of `count` pictures of text, nearly as large as a grid of patches, and texts of as many tokens as
    the benchmark's answers."""
    folder.mkdir()
    numbers, texts, sizes = random.Random(11), [], []
    for height, width, answer in drawn_lengths(count):
        text = " ".join("".join(numbers.choices(LETTERS, k=numbers.randint(1, 4))) for _ in range(answer))
        texts.append(tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"][:answer]))
        sizes.append(tuple(side * patch - numbers.randint(0, patch // 2) for side in (width, height)))
    with multiprocessing.get_context("fork").Pool() as pool:
        images = [{"bytes": data, "path": None} for data in pool.starmap(png_of, zip(texts, sizes, strict=True), 16)]
    pq.write_table(pa.table({"image": images, "text": texts}), folder / "train-00000-of-00001.parquet")


def png_of(text: str, size: tuple[int, int]) -> bytes:
    """The text in lines, black on white."""
    picture, letters = Image.new("RGB", size, "white"), max(size[0] // 12, 1)
    lines = [text[start : start + letters] for start in range(0, len(text), letters)]
    ImageDraw.Draw(picture).multiline_text((4, 2), "\n".join(lines), "black", ImageFont.load_default(24))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def run(config: RunConfig, folder: Path, options, device) -> dict:
    console = Console(stderr=True)
    prepared = prepare(config, console)
    settings = read_config(prepared.base.folder)
    matrix_tflops = matrix_rate(device, options.tiny)
    model = base_model(settings, device)
    if config.base.quantize == "fp8" and (skipped := quantize_in_fp8(model)):
        raise SystemExit(f"{skipped[0]} can't be held in fp8")
    adapted = build_adapter(model, prepared.plan, config.adapter, seed=0, base_path=config.model.path)
    began = time.perf_counter()
    backend = build_backend(config, adapted, prepared.base.processor)
    built = time.perf_counter() - began
    workers = plan_workers(backend, config, prepared.base.processor.geometry, prepared.splits.train)
    if not isinstance(backend, PackedBackend):
        raise SystemExit(f"no packed backend here: {'; '.join(backend.notes)}")
    run_folder = RunFolder.create(folder, "run")
    trainer, _ = build_trainer(TrainContext(config, prepared, run_folder, console), adapted, backend, workers.count)
    clock = Clock(trainer, min(WARM, options.steps // 2), options.steps, device, options.check_sync)
    trainer.add_callback(clock)
    set_seed(0)
    trainer.train()
    whole = clock.rate(options.rows)
    history = [row for row in trainer.state.log_history if "loss" in row]
    peak = torch.cuda.max_memory_allocated() / GIB if device.type == "cuda" else None
    report = {
        "rows": options.rows,
        "steps": options.steps,
        "engine": {**backend.settings, "notes": list(backend.notes)},
        "workers": workers.count,
        "end_to_end_samples_per_s": whole,
        "kernels_made_s": round(built, 1),
        "first_step_s": round(clock.first_s, 1),
        "peak_gib": peak and round(peak, 2),
        "loss": [round(history[0]["loss"], 4), round(history[-1]["loss"], 4)],
        "gradient_norm": round(history[-1]["grad_norm"], 5),
        "waits_for_the_gpu": clock.waits,
    }
    if options.check_sync:
        return report
    batches, loader_rate = laid_again(clock.packs, prepared, trainer.train_dataset, backend, workers.count)
    model_rate = model_alone(backend.forward, trainer, batches, clock.warm, device)
    timed, work = batches[clock.warm :], work_of(settings)
    tflops = sum(flops(batch, work) for batch in timed) / clock.spent / 1e12
    return report | {
        "tokens_per_s": round(sum(pack["tokens"] for batch in timed for pack in batch["packs"]) / clock.spent),
        "tflops": round(tflops, 1),
        "share_of_matrix_rate": round(tflops / matrix_tflops, 3),
        "loader_alone_samples_per_s": loader_rate,
        "model_alone_samples_per_s": model_rate,
        "share": round(whole / model_rate, 4),
    }


def prepare(config: RunConfig, console: Console) -> Prepared:
    """As `texlens.training.prepare.prepare`, of a checkpoint without weights."""
    checkpoint = Path(config.model.path)
    processor = load_processor(checkpoint, min_pixels=config.model.min_pixels)
    base = BaseCheckpoint(config.model.path, checkpoint, "random", processor)
    plan = build_plan(config.adapter, processor.family, read_config(checkpoint))
    return Prepared(base, build_splits(config.data, processor.tokenizer, processor.geometry, console=console), plan)


class Clock(TrainerCallback):
    """Times the steps after the first `warm`, and keeps the rows of each pack."""

    def __init__(self, trainer, warm: int, last: int, device, check_sync: bool):
        self.warm, self.last, self.device = warm, last, device
        self.waiting = Waiting() if check_sync and device.type == "cuda" else None
        self.packs: list[list[list[str]]] = []
        self.waits: dict[str, int] | None = None
        take = trainer.get_batch_samples

        def taken(*arguments):
            batches, count = take(*arguments)
            self.packs += [[pack["rows"] for pack in batch["packs"]] for batch in batches]
            return batches, count

        trainer.get_batch_samples = taken

    def on_train_begin(self, args, state, control, **kwargs):
        self.began = time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step in (1, self.warm, self.last):
            synchronize(self.device)
            now = time.perf_counter()
        if state.global_step == 1:
            self.first_s = now - self.began
        if state.global_step == self.warm:
            self.start = now
            if self.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            if self.waiting:
                self.waiting.begin()
        if state.global_step == self.last:
            self.spent = now - self.start
            if self.waiting:
                self.waits = self.waiting.end(self.last - self.warm)

    def rate(self, rows: int) -> float:
        return round(rows * (self.last - self.warm) / self.spent, 2)


class Waiting:
    """Counts by their places the calls that make the host wait for the GPU."""

    def begin(self) -> None:
        self._places: Counter[str] = Counter()
        self._show = warnings.showwarning
        warnings.showwarning = self._note
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")

    def end(self, steps: int) -> dict[str, int]:
        torch.cuda.set_sync_debug_mode("default")
        warnings.showwarning = self._show
        return {"steps": steps, **dict(self._places.most_common())}

    def _note(self, message, category, filename, lineno, file=None, line=None) -> None:
        if "synchroniz" not in str(message):
            return
        stack = [frame for frame in traceback.extract_stack() if "warnings" not in frame.filename]
        ours = [frame for frame in stack if "texlens" in frame.filename and "benchmarks" not in frame.filename]
        chosen = [*ours[-2:], *(frame for frame in stack[-3:-1] if frame not in ours[-2:])]
        self._places[" < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(chosen))] += 1


def laid_again(
    packs: list[list[list[str]]], prepared: Prepared, dataset: ExampleDataset, backend: PackedBackend, workers: int
) -> tuple[list[dict], float]:
    """The packs that were trained on, and at how many rows a second the loader alone makes them."""
    places = {name: index for index, name in enumerate(prepared.splits.train.ids())}
    flat = [[places[name] for name in rows] for step in packs for rows in step]
    collate = partial(build_pack, spec=backend.spec)
    loader = DataLoader(dataset, batch_sampler=flat, collate_fn=collate, num_workers=workers)
    began = time.perf_counter()
    laid = iter(list(loader))
    rate = sum(map(len, flat)) / (time.perf_counter() - began)
    batches = []
    for step in packs:
        of_step = [next(laid) for _ in step]
        batches.append({"packs": of_step, "label_count": sum(pack["label_count"] for pack in of_step)})
    return batches, round(rate, 1)


def model_alone(forward: PackedForward, trainer, batches: list[dict], warm: int, device) -> float:
    """Samples a second of forward, backward, clipping and optimizer on packs that lie on the device."""
    trained = [parameter for parameter in trainer.model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-6, fused=True)
    batches = [on(device, batch) for batch in batches]
    trainer.model.train()
    for number, batch in enumerate(batches):
        if number == warm:
            synchronize(device)
            began = time.perf_counter()
        for pack in batch["packs"]:
            (forward.loss(pack) / batch["label_count"]).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    synchronize(device)
    rows = sum(len(pack["rows"]) for batch in batches[warm:] for pack in batch["packs"])
    return round(rows / (time.perf_counter() - began), 2)


def loader_alone(config: RunConfig, options) -> dict:
    """Milliseconds of one processor for each part of a pack's making."""
    prepared = prepare(config, Console(stderr=True))
    processor = prepared.base.processor
    dataset = ExampleDataset(
        prepared.splits.train,
        processor.tokenizer,
        processor.geometry,
        prompt=config.data.prompt,
        patchify=image_to_raw_patches,
    )
    layout = pack_spec(build_model_config(read_config(prepared.base.folder)), processor, padded=True)
    collate, spent = PackCollator(layout, config.train.compute.pack_tokens), Counter()
    tokens = 0

    @contextmanager
    def timed(name):
        began = time.process_time()
        yield
        spent[name] += time.process_time() - began

    dataset[0]
    for start in range(0, len(dataset), options.rows):
        rows = range(start, start + options.rows)
        with timed("decode"):
            images = [dataset.rows[row].image.load() for row in rows]
        with timed("patch"):
            for image in images:
                image_to_raw_patches(image, processor.geometry)
        with timed("rows in all"):
            examples = [dataset[row] for row in rows]
        with timed("lay"):
            batch = collate(examples)
        tokens += sum(pack["tokens"] for pack in batch["packs"])
    return {
        "rows": len(dataset),
        "tokens_per_row": round(tokens / len(dataset), 1),
        "cpu_ms_per_row": {name: round(1000 * seconds / len(dataset), 3) for name, seconds in spent.items()},
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="Qwen3-VL-4B-Instruct")
    parser.add_argument("--rows", type=int, help="of a step")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the run file")
    parser.add_argument("--check-sync", action="store_true", help="report what waits for the GPU, and stop there")
    parser.add_argument("--loader", action="store_true", help="time the making of packs alone, on one processor")
    parser.add_argument("--output")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    options.rows = options.rows or (4 if options.tiny else 56)
    options.steps = options.steps or (8 if options.tiny else 3 if options.loader else 40)
    return options


if __name__ == "__main__":
    main()
