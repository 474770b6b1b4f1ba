"""Compares the memory plan of a process that keeps a part of the weights with what it allocates, on CPUs.

    python benchmarks/planner_peaks_divided.py --output benchmarks/results/divided-peaks_cpu_DATE.json

Two processes train three steps of a small model whose weights are most of its memory, in float32, as `texlens train`
does. Allocated is the peak of all floating-point tensors of a process, counted storage by storage, gathered layers
included; the plan is that of the largest pack that was run. `kept` is what stays: weights, adapters and optimizer.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from planner_peaks_cpu import _note_packs
from recipes import planned_bytes
from rich.console import Console
from torch.distributed.fsdp._fully_shard import _fsdp_param
from torch.distributed.tensor import DTensor

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.fixtures.memory_peak import MemoryPeak
from tests.fixtures.tiny_models import tiny_config, tiny_processor

from texlens.adapters.build import build_adapter
from texlens.config.load import build_config
from texlens.core.run_folder import RunFolder
from texlens.models import quantized
from texlens.models.load import load_model, random_model, save_processor
from texlens.models.packed.memory import stored_bytes
from texlens.models.sharding.load import load_to_divide
from texlens.models.weight_rows.rows import no_rows
from texlens.training.backends.choose import build_backend
from texlens.training.build import TrainContext, build_trainer
from texlens.training.distributed.choose_division import choose_division
from texlens.training.distributed.context import DistributedContext
from texlens.training.distributed.process_end import end_process
from texlens.training.distributed.process_group import process_group
from texlens.training.prepare import prepare

GIB = 2**30
WHOLE = {"weights": "replicate", "experts": "replicate"}
WEIGHTS, EXPERTS = {**WHOLE, "weights": "shard"}, {**WHOLE, "experts": "shard"}
BOTH = {"weights": "shard", "experts": "shard"}
ARMS: dict[str, tuple[str, dict, str]] = {
    "dense, replicated": ("qwen3_vl", WHOLE, "none"),
    "dense, weights divided": ("qwen3_vl", WEIGHTS, "none"),
    "dense in fp8, weights divided": ("qwen3_vl", WEIGHTS, "fp8"),
    "mixture, replicated": ("qwen3_vl_moe", WHOLE, "none"),
    "mixture, experts divided": ("qwen3_vl_moe", EXPERTS, "none"),
    "mixture, all divided": ("qwen3_vl_moe", BOTH, "none"),
    "mixture in fp8, experts divided": ("qwen3_vl_moe", EXPERTS, "fp8"),
    "mixture in fp8, all divided": ("qwen3_vl_moe", BOTH, "fp8"),
}
SIZES = {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 6, "head_dim": 64}
SIZES |= {"num_attention_heads": 8, "num_key_value_heads": 4}
MIXTURE_SIZES = {"num_experts": 16, "num_experts_per_tok": 2, "moe_intermediate_size": 512}


class DividedPeak(MemoryPeak):
    """Counts the storages that FSDP grows and empties too."""

    def __enter__(self):
        self.functions = _fsdp_param.alloc_storage, _fsdp_param.free_storage
        _fsdp_param.alloc_storage, _fsdp_param.free_storage = map(self._counting, self.functions)
        return super().__enter__()

    def __exit__(self, *error):
        _fsdp_param.alloc_storage, _fsdp_param.free_storage = self.functions
        return super().__exit__(*error)

    def _counting(self, resize):
        def resized(tensor: torch.Tensor) -> None:
            resize(tensor)
            self.resized(tensor)

        return resized


def measure(name: str, folder: Path, context: DistributedContext) -> dict[str, Any]:
    family, parallel, how = ARMS[name]
    config = build_config(
        {
            "model": {"path": str(folder / family)},
            "base": {"quantize": how},
            "data": {"path": "demo", "splits": {"train": "train[:24]", "validation": None}},
            "adapter": {"rank": 4, "alpha": 8, "dropout": 0.0, "targets": ["text-attention"]},
            "train": {"steps": 3, "batch_size": 8, "gradient_accumulation": 1, "parallel": parallel, "workers": 0},
            "output": str(folder),
        }
    )
    console = Console(file=open(os.devnull, "w"))  # noqa: SIM115 - closed with the process
    prepared = prepare(config, console, context=context)
    division = choose_division(config, prepared.base.folder, prepared.plan, context)
    load = {"quantize": config.base}
    if division.is_divided:
        model, rows_of = load_to_divide(prepared.base.folder, division, **load)
    else:
        model, rows_of = load_model(prepared.base.folder, **load), no_rows
    path = config.model.path
    adapted = build_adapter(model, prepared.plan, config.adapter, seed=0, base_path=path)
    backend: Any = build_backend(config, adapted, prepared.base.processor, context, division=division, rows_of=rows_of)
    run = context.broadcast(lambda: str(RunFolder.create(folder, name.replace(", ", "-").replace(" ", "-")).path))
    trainer, _ = build_trainer(TrainContext(config, prepared, RunFolder(Path(run)), console, context), adapted, backend)
    sizes, peak = _note_packs(trainer), DividedPeak()
    for tensor in (*model.parameters(), *model.buffers()):
        peak.note(tensor.to_local() if isinstance(tensor, DTensor) else tensor)
    resident = peak.live
    with peak:
        trainer.train()
    planned = planned_bytes(config, backend, model, max(sizes))
    return {
        "planned_mib": round(planned / 2**20, 1),
        "allocated_mib": round(peak.peak / 2**20, 1),
        "error": round(planned / peak.peak - 1, 4),
        "kept_mib": round(resident / 2**20, 1),
        "planned_weights_mib": round(stored_bytes(model) / 2**20, 1),
        "pack": max(sizes),
    }


def save(folder: Path, family: str) -> None:
    """A checkpoint of `SIZES`."""
    config = tiny_config(family)
    text = config["text_config"]
    text |= SIZES | (MIXTURE_SIZES if family.endswith("moe") else {})
    text["rope_scaling"] = {**text["rope_scaling"], "mrope_section": [12, 10, 10]}
    config["vision_config"] |= {"out_hidden_size": SIZES["hidden_size"]}
    random_model(config).save_pretrained(folder)
    save_processor(tiny_processor(family), folder)


def in_process(folder: Path, names: list[str]) -> None:
    torch.set_num_threads(1)
    quantized.fp8_unsupported_reason = lambda device: None  # a CPU may train over fp8 here, which a user's can't
    with process_group() as context:
        for name in names:
            figures = context.all_gather(measure(name, folder, context))
            if context.is_main:
                print(f"{name}: {json.dumps(figures)}", flush=True)
                (folder / f"{name}.json").write_text(json.dumps(figures))
    end_process()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="arms whose names have this in them")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    names = [name for name in ARMS if options.only in name]
    if options.folder:
        in_process(options.folder, names)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for family in ("qwen3_vl", "qwen3_vl_moe"):
            save(folder / family, family)
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        command = [*launcher, __file__, "--only", options.only, "--folder", str(folder)]
        subprocess.run(command, check=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"})
        rows = {name: json.loads((folder / f"{name}.json").read_text()) for name in names}
    if options.output:
        report = {
            "command": " ".join(["python benchmarks/planner_peaks_divided.py", *sys.argv[1:]]),
            "date": time.strftime("%Y-%m-%d"),
            "hardware": f"CPU, {os.cpu_count()} cores",
            "torch": torch.__version__,
            "of_each_process": rows,
        }
        options.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
