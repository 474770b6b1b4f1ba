"""How much CPU memory each process takes to load a checkpoint whose weights are divided among them.

    python benchmarks/divided_loading.py [--gib 4] [--processes 2] [--output FILE]

Writes a checkpoint of random 16-bit weights into a temporary folder, starts the processes on CPUs, and reports for each
the resident memory before loading, its peak while loading, the bytes that it keeps, and the difference. `--experts`
divides a mixture's experts instead of all layers.
"""

import argparse
import json
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
        written = write_checkpoint(Path(folder), options.gib, options.experts)
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(options.processes)]
        command = [sys.executable, *launcher, __file__, "--folder", folder, *(["--experts"] if options.experts else [])]
        subprocess.run(command, check=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"})
        processes = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("process-*.json"))]
    result = {
        "hardware": f"{platform.machine()} CPU",
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join(["python", *sys.argv]),
        "checkpoint_mib": round(written / MIB),
        "divided": "experts" if options.experts else "weights",
        "processes": processes,
    }
    print(json.dumps(result, indent=1))
    if options.output:
        Path(options.output).write_text(json.dumps(result, indent=1) + "\n")


def write_checkpoint(folder: Path, gib: float, experts: bool) -> int:
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
        values = noise.repeat(-(-count // len(noise)))[:count].view(parameter.shape)
        file = f"model-{number:05}.safetensors"
        save_file({name: values}, folder / file, metadata={"format": "pt"})
        names[name], total = file, total + values.nbytes
    index = {"metadata": {"total_size": total}, "weight_map": names}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return total


def _bytes(model) -> int:
    return sum(2 * parameter.numel() for parameter in model.parameters())


def _load(folder: Path, options) -> None:
    import torch
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    from texlens.models.sharding.divided_model import divide_model
    from texlens.models.sharding.division import Division
    from texlens.models.sharding.load import load_to_divide
    from texlens.training.distributed.process_group import process_group

    with process_group() as context:
        assert fully_shard  # imported before memory is measured: its modules are not the loading's
        context.barrier()
        before, began = _peak_mib(), time.monotonic()
        division = Division(not options.experts, options.experts, context.rank, context.world_size)
        model, rows = load_to_divide(folder, division, device="cpu", dtype="bfloat16")
        model.requires_grad_(False)
        divided = divide_model(model, division, torch.device("cpu"), rows)
        context.barrier()
        parameters = [part.to_local() if isinstance(part, DTensor) else part for part in model.parameters()]
        share = sum(part.nbytes for part in parameters) / MIB
        peak = _peak_mib()
        figures = {
            "before_mib": round(before),
            "peak_mib": round(peak),
            "kept_mib": round(share),
            "above_share_mib": round(peak - before - share),
            "seconds": round(time.monotonic() - began, 1),
        }
        assert divided.is_divided
        (folder / f"process-{context.rank}.json").write_text(json.dumps(figures))


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=4.0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--experts", action="store_true")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--output")
    return parser.parse_args()


if __name__ == "__main__":
    main()
