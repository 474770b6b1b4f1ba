"""How much CPU memory each process takes to load a checkpoint whose weights are divided among them.

    python benchmarks/divided_loading.py [--gib 4] [--processes 2] [--output FILE]
    python benchmarks/divided_loading.py --gib 57 --experts --sparse --gpu         # 61 GB, on two GPUs
    python benchmarks/divided_loading.py --gib 57 --experts --sparse --processes 16 --alone    # 61 GB, a CPU with 8 GB

Writes a checkpoint of random 16-bit weights into a temporary folder, starts the processes on CPUs, and reports for each
the resident memory before loading, its peak while loading, the bytes that it keeps, and the difference. `--experts`
divides a mixture's experts instead of all layers; with `--sparse` all weights are 0 and take no room on the disk; with
`--gpu` each process keeps its part on its own GPU. `--alone` starts the last of the processes without the others, which
loading experts does not need.
"""

import argparse
import contextlib
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MIB = 2**20


def main() -> None:
    options = _options()
    if "RANK" in os.environ:
        _load(Path(options.folder), options)
        return
    with tempfile.TemporaryDirectory() as folder:
        written = write_checkpoint(Path(folder), options.gib, options.experts, sparse=options.sparse)
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(options.processes)]
        command = [sys.executable, *([] if options.alone else launcher), __file__, "--folder", folder]
        command += ["--processes", str(options.processes)]
        command += [name for name in ("--experts", "--gpu", "--alone") if getattr(options, name[2:])]
        visible = {} if options.gpu else {"CUDA_VISIBLE_DEVICES": ""}
        rank = {"RANK": str(options.processes - 1)} if options.alone else {}
        subprocess.run(command, check=True, env={**os.environ, **visible, **rank, "OMP_NUM_THREADS": "1"})
        processes = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("process-*.json"))]
    result = {
        "hardware": f"{platform.machine()} CPU" if not options.gpu else f"{options.processes} GPUs",
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join(["python", *sys.argv]),
        "checkpoint_mib": round(written / MIB),
        "divided": "experts" if options.experts else "weights",
        "processes": processes,
    }
    print(json.dumps(result, indent=1))
    if options.result:
        Path(options.result).write_text(json.dumps(result, indent=1) + "\n")


def write_checkpoint(folder: Path, gib: float, experts: bool, *, sparse: bool = False) -> int:
    """A Qwen3-VL of about so many GiB, with a small vocabulary and tower, and as many layers as that takes; returns its
    bytes."""
    import torch
    from safetensors.torch import save_file

    from texlens.models.bundled import bundled_config
    from texlens.models.meta_model import meta_model

    config = bundled_config(f"Qwen/Qwen3-VL-{'30B-A3B' if experts else '4B'}-Instruct")
    assert config is not None
    text = config["text_config"]
    text |= {"num_hidden_layers": 1, "vocab_size": 20_000}
    config["vision_config"]["depth"] = 6
    config["vision_config"]["deepstack_visual_indexes"] = [1, 3, 5]
    sizes = [
        _bytes(meta_model(config)),
        _bytes(meta_model({**config, "text_config": {**text, "num_hidden_layers": 2}})),
    ]
    text["num_hidden_layers"] = max(2, round((gib * 2**30 - sizes[0]) / (sizes[1] - sizes[0])) + 1)
    (folder / "config.json").write_text(json.dumps(config))
    noise, names, total = torch.randn(2**22).bfloat16(), {}, 0
    for number, (name, parameter) in enumerate(meta_model(config).named_parameters()):
        count = parameter.numel()
        file = f"model-{number:05}.safetensors"
        if sparse:
            write_zeros(folder / file, name, tuple(parameter.shape))
        else:
            values = noise.repeat(-(-count // len(noise)))[:count].view(parameter.shape)
            save_file({name: values}, folder / file, metadata={"format": "pt"})
        names[name], total = file, total + 2 * count
    index = {"metadata": {"total_size": total}, "weight_map": names}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return total


def write_zeros(path: Path, name: str, shape: tuple[int, ...]) -> None:
    """A safetensors file of one tensor in bf16, of which the file system stores the header alone."""
    size = 2 * math.prod(shape)
    entry = {"dtype": "BF16", "shape": shape, "data_offsets": [0, size]}
    header = json.dumps({"__metadata__": {"format": "pt"}, name: entry}).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)


def _bytes(model) -> int:
    return sum(2 * parameter.numel() for parameter in model.parameters())


def _load(folder: Path, options) -> None:
    import torch
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    from texlens.models.sharding.divided_model import divide_model
    from texlens.models.sharding.division import Division
    from texlens.models.sharding.load import load_to_divide
    from texlens.training.distributed.context import DistributedContext
    from texlens.training.distributed.process_end import end_process
    from texlens.training.distributed.process_group import process_group

    assert options.experts or not options.alone
    last = DistributedContext(options.processes - 1)
    with contextlib.nullcontext(last) if options.alone else process_group() as context:
        assert fully_shard  # imported before memory is measured: its modules are not the loading's
        context.barrier()
        device = torch.device("cuda", context.local_rank) if options.gpu else torch.device("cpu")
        torch.zeros(1, device=device)
        before, began = _peak_mib(), time.monotonic()
        division = Division(not options.experts, options.experts, context.rank, options.processes)
        model, rows = load_to_divide(folder, division, device=str(device), dtype="bfloat16")
        model.requires_grad_(False)
        divided = divide_model(model, division, device, rows)
        context.barrier()
        parameters = [part.to_local() if isinstance(part, DTensor) else part for part in model.parameters()]
        share = sum(part.nbytes for part in parameters) / MIB
        peak = _peak_mib()
        figures = {
            "before_mib": round(before),
            "peak_mib": round(peak),
            "kept_mib": round(share),
            "above_share_mib": round(peak - before - (0 if options.gpu else share)),
            "gpu_peak_mib": round(torch.cuda.max_memory_allocated() / MIB) if options.gpu else None,
            "seconds": round(time.monotonic() - began, 1),
        }
        assert divided.is_divided
        (folder / f"process-{context.rank}.json").write_text(json.dumps(figures))
    end_process()


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=4.0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--experts", action="store_true")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--sparse", action="store_true", help="a checkpoint of zeros, which takes no room on the disk")
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--alone", action="store_true", help="the last process without the others, with --experts")
    parser.add_argument("--tiny", action="store_true", help="1/4 GiB, on CPUs")
    parser.add_argument("--output", "--result", dest="result")
    options = parser.parse_args()
    if options.tiny:
        options.gib, options.gpu = 0.25, False
    return options


if __name__ == "__main__":
    main()
