"""What cards there are: one table (gpus.json), and the card of this machine."""

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
    """`memory_gib` is what torch sees; `tflops` is the published dense rate of 16-bit products, `bandwidth_gbs` the
    published one of its memory. `bf16` is whether the tensor cores take bfloat16."""

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
    """The card of that name, or with `auto` the one in this machine.

    Raises:
        ConfigError: no such card in the table, or none here.
    """
    if name == "auto":
        return _card_here()
    wanted = name.lower()
    for gpu in known_gpus():
        if gpu.name == wanted:
            return gpu
    names = [gpu.name for gpu in known_gpus()]
    near = difflib.get_close_matches(wanted, names, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else "known"
    raise ConfigError(f"--gpu {name}: no such card; {hint} ({', '.join(names)}, auto)")


def _card_here() -> Gpu:
    if not torch.cuda.is_available():
        raise ConfigError("--gpu auto: torch finds no GPU on this machine; name one, such as --gpu rtx4090")
    facts = torch.cuda.get_device_properties(0)
    memory = facts.total_memory / 2**30
    alike = [gpu for gpu in known_gpus() if gpu.title == facts.name]
    if alike:
        return replace(min(alike, key=lambda gpu: abs(gpu.memory_gib - memory)), memory_gib=round(memory, 1))
    nearest = min(known_gpus(), key=lambda gpu: abs(gpu.memory_gib - memory))
    bf16 = (facts.major, facts.minor) >= (8, 0)
    fp8 = (facts.major, facts.minor) >= (8, 9)
    source = f"not in the table: its memory, and the rates of {nearest.name}"
    return replace(
        nearest, name="auto", title=facts.name, memory_gib=round(memory, 1), bf16=bf16, fp8=fp8, source=source
    )
