"""Optimizer, scheduler and random states as safetensors and JSON, which run no code when they are read."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from texlens.core.errors import RunError
from texlens.core.files import write_json

OPTIMIZER, SCHEDULER, RANDOM = "optimizer", "scheduler", "random"


def save_optimizer(optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Tensors go to optimizer.safetensors and numbers to optimizer.json, by parameter, slot and, where a slot is a
    dictionary (8-bit optimizers of bitsandbytes), the name in it."""
    state = optimizer.state_dict()
    tensors, scalars = {}, {}
    for index, slots in state["state"].items():
        for name, value in _flat(slots).items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}.{name}"] = value.detach().to("cpu", copy=True).contiguous()
            else:
                scalars[f"{index}.{name}"] = value
    save_file(tensors, folder / f"{OPTIMIZER}.safetensors")
    write_json(folder / f"{OPTIMIZER}.json", {"values": scalars, "param_groups": state["param_groups"]})


def load_optimizer(optimizer: torch.optim.Optimizer, folder: Path) -> None:
    settings = json.loads((folder / f"{OPTIMIZER}.json").read_text())
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**load_file(folder / f"{OPTIMIZER}.safetensors"), **settings["values"]}.items():
        index, *parents, name = key.split(".")
        slots = state.setdefault(int(index), {})
        for parent in parents:
            slots = slots.setdefault(parent, {})
        slots[name] = value
    groups = [
        {**group, "betas": tuple(group["betas"])} if "betas" in group else group for group in settings["param_groups"]
    ]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _flat(slots: dict[str, Any]) -> dict[str, Any]:
    """Values by their path, with dots between the names."""
    flat = {}
    for name, value in slots.items():
        inner = {f"{name}.{key}": part for key, part in _flat(value).items()} if isinstance(value, dict) else None
        flat |= {name: value} if inner is None else inner
    return flat


def save_scheduler(scheduler, folder: Path) -> None:
    state = {name: value for name, value in scheduler.state_dict().items() if name != "lr_lambdas"}
    write_json(folder / f"{SCHEDULER}.json", state)


def load_scheduler(scheduler, folder: Path) -> None:
    state = json.loads((folder / f"{SCHEDULER}.json").read_text())
    scheduler.load_state_dict({**scheduler.state_dict(), **state})


def saved_steps(checkpoint: Path) -> tuple[int, int]:
    """The step of a checkpoint, and that at which training was to end.

    Raises:
        RunError: trainer_state.json is damaged.
    """
    path = checkpoint / "trainer_state.json"
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        return int(state["global_step"]), int(state["max_steps"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{path}: damaged ({error}); remove that checkpoint") from None


def load_moments(optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Loads the optimizer's moments, but keeps its learning rates, weight decay and other options."""
    options = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    load_optimizer(optimizer, folder)
    for group, values in zip(optimizer.param_groups, options, strict=True):
        group.update(values)


def load_position(scheduler, folder: Path) -> None:
    """Moves a new schedule to the step of the saved one, without its learning rates."""
    state = json.loads((folder / f"{SCHEDULER}.json").read_text())
    scheduler.last_epoch = state["last_epoch"]
    scheduler._step_count = state.get("_step_count", state["last_epoch"] + 1)
    for group, rate in zip(scheduler.optimizer.param_groups, scheduler.get_lr(), strict=True):
        group["lr"] = rate
    scheduler._last_lr = [group["lr"] for group in scheduler.optimizer.param_groups]


def save_random(folder: Path, rank: int = 0) -> None:
    """States of this process's Python, numpy and torch generators."""
    tensors = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["cuda"] = torch.cuda.get_rng_state()
    save_file(tensors, folder / f"{RANDOM}-{rank}.safetensors")
    version, words, gauss = random.getstate()
    kind, keys, *position = np.random.get_state()  # the legacy state is what transformers seeds
    write_json(
        folder / f"{RANDOM}-{rank}.json",
        {"python": [version, list(words), gauss], "numpy": [kind, [int(key) for key in keys], *position]},
    )


def load_random(folder: Path, rank: int = 0) -> bool:
    """False if fewer processes wrote the checkpoint, so that it has no state of this one."""
    if not (folder / f"{RANDOM}-{rank}.json").is_file():
        return False
    states = json.loads((folder / f"{RANDOM}-{rank}.json").read_text())
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, *position = states["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *position))
    tensors = load_file(folder / f"{RANDOM}-{rank}.safetensors")
    torch.set_rng_state(tensors["torch"])
    if "cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda"])
    return True
