"""What limits a stretch on this machine: images that the generators draw in a second, and steps that the device makes.

    python -m pretraining.rates --data LATEX_OCR_FOLDER [--extras FOLDER] [--workers 1 15] [--seconds 8]

Prints images/s for each number of workers, the device's steps/s on packs that are there already, and the number of
replayed packs (`pretraining.train --again`) that fills the device's time.
"""

import argparse
import json
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import torch

from pretraining.packs import PackSize
from pretraining.replay import other_ink
from pretraining.sampler import Mixture
from pretraining.train import Plan, build_loader, loss_function, new_model, optimizers

RATE = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="LaTeX_OCR folder")
    parser.add_argument("--extras", type=Path)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 15])
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--tokens", type=int, default=PackSize.tokens)
    parser.add_argument("--no-compile", action="store_true")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size, mixture = PackSize.of_tokens(args.tokens), Mixture("wide", args.data, args.extras)
    images, packs = {}, []
    for workers in args.workers:
        stream = iter(build_loader(mixture, size, workers=workers, seed=1, stage=2, device=device))
        images[workers], packs = generator_rate(stream, args.seconds)
        del stream
    steps = device_rate(packs, size, device, args.seconds, not args.no_compile)
    drawn = images[args.workers[-1]] / (sum(int(pack["samples"]) for pack in packs) / len(packs))
    result = {"images_per_s": images, "packs_per_s": round(drawn, 1), "steps_per_s": round(steps, 1)}
    print(json.dumps(result | {"device": device, "again": max(0, round(steps / drawn) - 1)}), flush=True)


def generator_rate(stream: Iterator[dict], seconds: float) -> tuple[int, list[dict]]:
    """Images a second after as long a warm-up, and the last packs."""
    for pack in _lasting(stream, seconds):
        del pack
    start, packs = time.monotonic(), list(_lasting(stream, seconds))
    return round(sum(int(pack["samples"]) for pack in packs) / (time.monotonic() - start)), packs[-8:]


def _lasting(stream: Iterator[dict], seconds: float) -> Iterator[dict]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield next(stream)


def device_rate(packs: list[dict], size: PackSize, device: str, seconds: float, compiled: bool) -> float:
    """Training steps a second on packs that are on the device, each in other ink."""
    model = new_model(device)
    groups = optimizers(model, RATE)
    step_loss = loss_function(size, device, compiled=compiled)
    ready = cycle([{name: value.to(device) for name, value in pack.items() if name != "samples"} for pack in packs])
    for number in range(3):
        _step(step_loss, model, groups, next(ready), number)
    _wait(device)
    start, steps = time.monotonic(), 0
    while time.monotonic() - start < seconds:
        for _ in range(4 if device == "cuda" else 1):
            steps += 1
            _step(step_loss, model, groups, next(ready), steps)
        _wait(device)
    return steps / (time.monotonic() - start)


def _step(step_loss, model, groups, pack: dict, seed: int) -> None:
    loss, count = step_loss(model, pack | {"patches": other_ink(pack["patches"], pack["image_ends"], seed)})
    (loss / count).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in groups:
        for group in optimizer.param_groups:
            group["lr"] = Plan(rate=RATE).rate_at(0.1, seed)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
