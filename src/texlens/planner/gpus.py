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
    `bandwidth_gbs` the published memory bandwidth, `link_gbs` the published rate to other GPUs of the machine in one
    direction (NVLink, else PCIe). `bf16`, `fp8`: whether the tensor cores support it."""

    name: str
    title: str
    memory_gib: float
    tflops: float
    bandwidth_gbs: float
    link_gbs: float
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
        local = local_gpu()
        if local is None:
            raise ConfigError("--gpu auto: torch finds no GPU on this machine; name one, such as --gpu rtx4090")
        return local
    key = name.lower()
    for gpu in known_gpus():
        if gpu.name == key:
            return gpu
    names = [gpu.name for gpu in known_gpus()]
    near = difflib.get_close_matches(key, names, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else "known"
    raise ConfigError(f"--gpu {name}: no such GPU; {hint} ({', '.join(names)}, auto)")


def local_gpu() -> Gpu | None:
    """The GPU of this machine, or None."""
    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    memory = properties.total_memory / 2**30
    same_title = [gpu for gpu in known_gpus() if gpu.title == properties.name]
    if same_title:
        return replace(min(same_title, key=lambda gpu: abs(gpu.memory_gib - memory)), memory_gib=round(memory, 1))
    bf16 = (properties.major, properties.minor) >= (8, 0)
    fp8 = (properties.major, properties.minor) >= (8, 9)
    return replace(gpu_of_memory(round(memory, 1)), name="auto", title=properties.name, bf16=bf16, fp8=fp8)


def gpu_of_memory(memory_gib: float, like: Gpu | None = None) -> Gpu:
    """A GPU with so much memory, and otherwise that of `like`, or the known one that is nearest in memory."""
    nearest = like or min(known_gpus(), key=lambda gpu: abs(gpu.memory_gib - memory_gib))
    source = f"its own memory, and the rates of {nearest.name}"
    title = nearest.title if like else f"a GPU of {memory_gib:g} GiB"
    return replace(nearest, name="auto", title=title, memory_gib=memory_gib, source=source)
