"""A model whose layers are on several GPUs of one process, for reading what does not fit on one.

One GPU computes at a time; reading in several processes (`--processes`) is faster wherever the model fits on one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from texlens.core.errors import ConfigError
from texlens.models.checkpoint import read_config, tensors
from texlens.models.families import EMBEDDING, HEAD, LANGUAGE_MODEL, VISION_TOWER
from texlens.models.families.stored_names import parameter_name
from texlens.models.sharding.weights import STACK, is_divided_name

USABLE = 0.85
"""Share of a GPU's free memory that weights may take; the rest is for caches of keys and values."""
LINEAR_BYTES, STACK_BYTES = {"fp8": 2.0, "int8": 1.0, "nf4": 0.5625}, {"fp8": 1.0, "int8": 1.0, "nf4": 0.5625}
"""Bytes of a quantized number, scales included: linear layers in fp8 have two copies."""
ROTARY, NORM = f"{LANGUAGE_MODEL}.rotary_emb", f"{LANGUAGE_MODEL}.norm"


def placement_of(
    folder: str | Path, device: torch.device, itemsize: int, quantize: str = "none"
) -> dict[str, torch.device] | None:
    """The GPU of each part of a checkpoint's model; None if it fits on `device`, or this machine has no other GPU.

    Args:
        itemsize: bytes of a value in memory.
        quantize: `base.quantize`, of the matrices of decoder layers.

    Raises:
        ConfigError: it does not fit on all GPUs of this machine.
    """
    if device.type != "cuda" or torch.cuda.device_count() < 2:
        return None
    sizes = part_sizes(folder, itemsize, quantize)
    free = [torch.cuda.mem_get_info(number)[0] for number in range(torch.cuda.device_count())]
    if sum(sizes.values()) <= USABLE * free[device.index or 0]:
        return None
    numbers = place_parts(sizes, free)
    return {part: torch.device("cuda", number) for part, number in numbers.items()}


def part_sizes(folder: str | Path, itemsize: int, quantize: str = "none") -> dict[str, int]:
    """Bytes of the tower, the embedding, each decoder layer, the last norm and the head, in the order they run in."""
    text = read_config(folder)
    layers = text.get("text_config", text)["num_hidden_layers"]
    names = [VISION_TOWER, EMBEDDING, *(f"{LANGUAGE_MODEL}.layers.{number}" for number in range(layers)), NORM, HEAD]
    sizes = dict.fromkeys(names, 0)
    for _, stored, entry in tensors(folder):
        name = parameter_name(stored)
        part = next((part for part in names if name.startswith(f"{part}.")), None)
        if part is not None:
            sizes[part] += round(_bytes_of_number(name, itemsize, quantize) * torch.Size(entry["shape"]).numel())
    return sizes


def _bytes_of_number(name: str, itemsize: int, quantize: str) -> float:
    if quantize == "none" or not name.startswith(f"{LANGUAGE_MODEL}.layers.") or not is_divided_name(name):
        return itemsize
    return (STACK_BYTES if STACK.search(name) else LINEAR_BYTES)[quantize]


def place_parts(sizes: Mapping[str, int], free: Sequence[int]) -> dict[str, int]:
    """The number of the GPU of each part: in order, each GPU filled in proportion to what it has free. A head without
    weights of its own is where the embedding is.

    Raises:
        ConfigError: there is too little memory.
    """
    total, available = sum(sizes.values()), USABLE * sum(free)
    if total > available:
        raise ConfigError(
            f"the weights take {total / 2**30:.1f} GiB, and the GPUs of this machine have {available / 2**30:.1f} free "
            "for them; set base.quantize: nf4, or read on a machine with more"
        )
    ends = [sum(free[: number + 1]) / sum(free) * total for number in range(len(free))]
    placed, filled = {}, 0
    for part, size in sizes.items():
        middle = filled + size / 2
        placed[part] = next((number for number, end in enumerate(ends) if middle <= end), len(free) - 1)
        filled += size
    if not sizes.get(HEAD):
        placed[HEAD] = placed[EMBEDDING]
    return placed | {ROTARY: placed[EMBEDDING]}
