"""What `test_divided.py` runs in each of two processes: passes of a divided model beside those of the whole one.

    python -m torch.distributed.run --standalone --nproc-per-node 2 tests/gpu/divided_passes.py FOLDER [--cpu]

FOLDER has a checkpoint for each family; FOLDER/RANK.json gets the relative differences of each case, where a process
compares what it gets of a pack of its own. On one GPU the processes meet through gloo, on two through NCCL.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed

from tests.unit.models.packed.packs import ROWS, adapted, gradients, pack_of
from texlens.config.quantize import QuantizeSettings
from texlens.kernels.backends import use_triton
from texlens.models.load import load_model, load_processor
from texlens.models.packed.forward import packed_forward
from texlens.models.sharding.divided_model import UNDIVIDED, DividedModel, divide_model
from texlens.models.sharding.division import Division
from texlens.models.sharding.load import load_to_divide
from texlens.models.sharding.stock_passes import stock_passes
from texlens.training.distributed.process_end import end_process

FAMILIES = ("qwen3_vl", "qwen3_vl_moe")
WEIGHTS, EXPERTS, BOTH = (True, False), (False, True), (True, True)
CASES = {
    f"{family} {how} {name}": (family, how, division)
    for how in ("none", "fp8", "nf4")
    for family, name, division in (
        ("qwen3_vl", "weights", WEIGHTS),
        ("qwen3_vl_moe", "weights", WEIGHTS),
        ("qwen3_vl_moe", "experts", EXPERTS),
        ("qwen3_vl_moe", "both", BOTH),
    )
}
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj"]
PASSES = 3
"""The first gathers into new memory, the others into the same again."""


def main() -> None:
    folder, on_cpu = Path(sys.argv[1]), "--cpu" in sys.argv
    rank, processes = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    device = torch.device("cpu") if on_cpu else torch.device("cuda", rank % torch.cuda.device_count())
    if not on_cpu:
        torch.cuda.set_device(device)
        use_triton(True)
    enough = not on_cpu and torch.cuda.device_count() >= processes
    distributed.init_process_group("cpu:gloo,cuda:nccl" if enough else "gloo")
    results: dict[str, Any] = {"backend": str(distributed.get_backend())}
    for name, case in CASES.items():
        results[name] = differences(folder, *case, rank, processes, device)
        (folder / f"{rank}.json").write_text(json.dumps(results))
    distributed.destroy_process_group()


def differences(
    folder: Path, family: str, how: str, divided: tuple[bool, bool], rank: int, processes: int, device: torch.device
) -> dict[str, float]:
    """Of losses, of all gradients together, and of the logits of a stock forward pass."""
    processor, quantize = load_processor(folder / family), QuantizeSettings(quantize=how)
    division = Division(*divided, rank, processes)
    options = {"device": str(device), "dtype": "float32" if device.type == "cpu" else "bfloat16", "quantize": quantize}
    whole = load_model(folder / family, **options)
    rows = ROWS[rank:] + ROWS[:rank]
    layout = {} if device.type == "cpu" else {"token_multiple": 128, "patch_multiple": 128}
    laid = pack_of(whole, processor, rows[: 3 - rank], **layout)
    pack = {name: part.to(device) if isinstance(part, Tensor) else part for name, part in laid.items()}
    expected = passes(whole, UNDIVIDED, processor, pack)
    model, rows_of = load_to_divide(folder / family, division, **options)
    trained = adapted(model, target_modules=TARGETS).train()
    parts = divide_model(model, division, device, rows_of)
    results = passes(model, parts, processor, pack, trained)
    return {name: far(results[name], expected[name]) for name in expected}


def passes(model: Any, divided: DividedModel, processor: Any, pack: dict, trained: Any = None) -> dict[str, Tensor]:
    trained = trained or adapted(model, target_modules=TARGETS).train()
    device = next(model.parameters()).device
    backend = "cpu" if device.type == "cpu" else "triton"
    forward = packed_forward(model, processor.geometry, backend=backend, divided=divided)
    assert not forward.text.unfused
    results = {}
    for number in range(PASSES):
        loss = forward.loss(pack)
        results[f"loss {number}"] = loss.detach().clone()
        results[f"gradients {number}"] = torch.cat([part.flatten() for part in gradients(loss, trained).values()])
    ids = torch.tensor([[5, 6, 7, 8]], device=device)
    with torch.no_grad(), stock_passes(model, divided) if divided.is_divided else torch.no_grad():
        results["logits"] = trained.eval()(input_ids=ids).logits.clone()
    return results


def far(left: Tensor, right: Tensor) -> float:
    return ((left.double() - right.double()).norm() / right.double().norm()).item()


if __name__ == "__main__":
    main()
    end_process()
