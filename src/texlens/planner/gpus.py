"""Known GPUs: one table (gpus.json), and the GPU of this machine."""

import difflib
import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch

from texlens.core.errors import ConfigError

TABLE = Path(__file__).with_name("gpus.json")


@dataclass(frozen=True)
class Gpu:
    """`memory_gib` is the total that torch reports; `tflops` is the published dense rate of 16-bit matrix products,
    `bandwidth_gbs` the published memory bandwidth. `bf16`, `fp8`: whether the tensor cores support it."""

    name: str
    title: str
    memory_gib: float
    tflops: float
    bandwidth_gbs: float
    bf16: bool
    fp8: bool
    source: str


@cache
def known_gpus() -> tuple[Gpu, ...]:
    return tuple(Gpu(**row) for row in json.loads(TABLE.read_text(encoding="utf-8")))


def find_gpu(name: str) -> Gpu:
    """The GPU of that name, or with `auto` the one in this machine.

    Raises:
        ConfigError: no such GPU in the table, or none in this machine.
    """
    if name == "auto":
        return _local_gpu()
    key = name.lower()
    for gpu in known_gpus():
        if gpu.name == key:
            return gpu
    names = [gpu.name for gpu in known_gpus()]
    near = difflib.get_close_matches(key, names, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else "known"
    raise ConfigError(f"--gpu {name}: no such GPU; {hint} ({', '.join(names)}, auto)")


def _local_gpu() -> Gpu:
    if not torch.cuda.is_available():
        raise ConfigError("--gpu auto: torch finds no GPU on this machine; name one, such as --gpu rtx4090")
    properties = torch.cuda.get_device_properties(0)
    memory = properties.total_memory / 2**30
    same_title = [gpu for gpu in known_gpus() if gpu.title == properties.name]
    if same_title:
        return replace(min(same_title, key=lambda gpu: abs(gpu.memory_gib - memory)), memory_gib=round(memory, 1))
    nearest = min(known_gpus(), key=lambda gpu: abs(gpu.memory_gib - memory))
    bf16 = (properties.major, properties.minor) >= (8, 0)
    fp8 = (properties.major, properties.minor) >= (8, 9)
    source = f"not in the table: its own memory, and the rates of {nearest.name}"
    return replace(
        nearest, name="auto", title=properties.name, memory_gib=round(memory, 1), bf16=bf16, fp8=fp8, source=source
    )
