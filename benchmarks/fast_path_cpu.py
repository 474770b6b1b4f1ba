"""How much faster the packed engine trains the nano model on a CPU than Trainer + PEFT do it.

    python benchmarks/fast_path_cpu.py [--steps 12] [--batch 8] [--threads 2] [--targets all-linear] [--out FILE]

The arms take the same rows in turn, step by step in one process, so that a busy machine slows all of them alike;
processor time is reported beside the clock's. `stock` is what transformers' Trainer does with PEFT (padded batch, the
model's own loss over all logits, backward, clipping, AdamW), `plain` our plain engine's loss, `packed` the packed
engine, `cached` the packed engine whose images come as kept features of the frozen tower (`train.cache_features`, from
the second epoch on; left out where the tower is adapted). Decoding and patching are part of none, nor is reading the
features.
"""

import argparse
import copy
import json
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import torch
import transformers

from texlens.adapters.build import build_adapter, build_plan
from texlens.config.load import build_config
from texlens.inputs.build import read_split
from texlens.inputs.dataset import ExampleDataset
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.inputs.packed_collator import PackCollator
from texlens.inputs.padded_collator import Collator
from texlens.kernels.loss.label_loss import count_labels, label_loss
from texlens.models.build import build_base, build_model
from texlens.models.checkpoint import read_config
from texlens.models.packed.forward import pack_spec, packed_forward
from texlens.training.feature_cache import feature_store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--targets", default="text-attention,text-mlp")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="also write the report here")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    config = build_config(
        {
            "model": {"path": "nano"},
            "data": {"path": "demo"},
            "adapter": {"rank": 16, "alpha": 32, "targets": arguments.targets.split(",")},
            "train": {"batch_size": arguments.batch},
        }
    )
    arms, steps = build_arms(config, arguments), {}
    for name in arms:
        steps[name] = []
    for number in range(arguments.steps + 2):
        for name, (batches, step) in arms.items():
            began, used = time.perf_counter(), time.process_time()
            loss = float(step(batches[number]))
            steps[name].append((time.perf_counter() - began, time.process_time() - used, loss))
    summaries = {name: summary(values[2:], arguments.batch) for name, values in steps.items()}
    for name in summaries:
        summaries[name]["times_stock"] = round(
            summaries["stock"]["median_step_s"] / summaries[name]["median_step_s"], 2
        )
        summaries[name]["times_stock_by_cpu"] = round(
            summaries["stock"]["median_cpu_s"] / summaries[name]["median_cpu_s"], 2
        )
    report = {
        "command": f"python benchmarks/fast_path_cpu.py {' '.join(sys.argv[1:])}".strip(),
        "date": date.today().isoformat(),
        "hardware": f"{platform.machine()} CPU, {arguments.threads} threads, shared with other work",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "arms": summaries,
    }
    print(json.dumps(report, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def build_arms(config, arguments) -> dict:
    base = build_base(config.model)
    plan = build_plan(config.adapter, base.processor.family, read_config(base.folder))
    train_rows = read_split(config.data, "train")
    processor = base.processor

    def adapted():
        model = build_model(base, config.model)
        return build_adapter(model, plan, config.adapter, seed=0, base_path="nano").train()

    def rows(**options):
        data = ExampleDataset(train_rows, processor.tokenizer, processor.geometry, prompt=config.data.prompt, **options)
        return [
            [data[(number * arguments.batch + row) % len(data)] for row in range(arguments.batch)]
            for number in range(arguments.steps + 2)
        ]

    collate = Collator(processor.pad_token_id, processor.image_token_id)
    padded = [collate(examples) for examples in rows()]
    stock, plain, packed = adapted(), adapted(), adapted()
    forward = packed_forward(packed.base_model.model, processor.geometry, backend="cpu")
    lay = PackCollator(pack_spec(packed.base_model.model.config, processor), arguments.tokens)
    packs = [lay(examples) for examples in rows(patchify=image_to_raw_patches)]

    def packed_loss_of(forward):
        def packed_loss(batch):
            losses = [forward.loss(pack) / batch["label_count"] for pack in batch["packs"]]
            return sum(losses[1:], losses[0])

        return packed_loss

    def stock_loss(batch):
        return stock(**batch).loss

    def plain_loss(batch):
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        return label_loss(plain(**inputs).logits, batch["labels"], count_labels(batch["labels"]))

    arms = {
        "stock": (padded, stepper(stock, stock_loss)),
        "plain": (copy.copy(padded), stepper(plain, plain_loss)),
        "packed": (packs, stepper(packed, packed_loss_of(forward))),
    }
    if forward.vision.trained:
        return arms
    cached = adapted()
    forward = packed_forward(cached.base_model.model, processor.geometry, backend="cpu")
    with tempfile.TemporaryDirectory() as folder:
        store = replace(feature_store(forward, processor.geometry), folder=Path(folder))
        keeping = replace(forward, store=store)
        for batch in [lay(examples) for examples in rows(patchify=image_to_raw_patches, store=store)]:
            for pack in batch["packs"]:
                keeping.image_features(pack)
        cached_packs = [lay(examples) for examples in rows(patchify=image_to_raw_patches, store=store)]
    return arms | {"cached": (cached_packs, stepper(cached, packed_loss_of(forward)))}


def stepper(model, loss_of):
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, fused=True)

    def step(batch):
        loss = loss_of(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step


def summary(values: list[tuple[float, float, float]], batch: int) -> dict:
    median = statistics.median(value[0] for value in values)
    return {
        "samples_per_s": round(batch / median, 2),
        "median_step_s": round(median, 4),
        "median_cpu_s": round(statistics.median(value[1] for value in values), 4),
        "first_loss": round(values[0][2], 5),
        "last_loss": round(values[-1][2], 5),
    }


if __name__ == "__main__":
    main()
