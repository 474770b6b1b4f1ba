"""How much faster several GPUs train than one, with whole weights and with divided ones, and what each GPU holds.

    python benchmarks/several_gpus.py --output benchmarks/results/several-gpus_h200_DATE.json    # 2 GPUs, 9 minutes
    python benchmarks/several_gpus.py --only "30B-A3B, one" --only "30B-A3B, experts" --output FILE     # some arms
    python benchmarks/several_gpus.py --one-gpu --output FILE     # 2 processes share a GPU, 4 layers: memory alone
    python benchmarks/several_gpus.py --tiny --output FILE        # small models of the same families, 2 processes, CPU

Each arm is a program of its own with a time limit: one process, or one process per GPU by torchrun on a free port. The
output is written after each arm. Arms of training (`several_gpus_step.py`) draw weights in bf16, with 56 rows a GPU in
one pack, or in three where 30B-A3B is divided, which leaves it in 52 GiB; 30B-A3B with LoRA r=128 on q, k, v, o, 8B
with r=16 on the seven text projections. `of_one_gpu` is an arm's rows per second by those of the arm of one GPU; `plan`
is what `texlens plan` says; `loss_and_norm` of one step of all rows must be that of one GPU. The other arms: `texlens
train` of nano with whole and with divided weights (`several_gpus_commands.py`), reading from layers on two GPUs
(`several_gpus_reading.py`), and loading a checkpoint of 61 GB whose experts are divided (`divided_loading.py`).
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
MIXTURE = ("--model", "Qwen3-VL-30B-A3B-Instruct", "--rank", "128", "--targets", "q_proj,k_proj,v_proj,o_proj")
DENSE = ("--model", "Qwen3-VL-8B-Instruct")
CPU_PATIENCE, LEAST_S = 4, 20.0
"""Factor of the limits with `--tiny`; an arm is not begun with less than so many seconds left."""
BESIDE = 3
"""Arms that run beside each other with `--one-gpu`."""
END_S = 45.0
"""How long an arm that ran past its limit may take to end after SIGTERM: torchrun ends its processes after 30 s."""


@dataclass(frozen=True)
class Arm:
    """
    Args:
        script: beside this file.
        processes: started by torchrun; 1 is a process of its own on the first GPU, 0 starts its own processes.
        one_gpu: name of the arm that its rate is compared with.
        goals: least of `of_one_gpu`, and most of the peak in GiB.
    """

    name: str
    script: str
    processes: int
    arguments: tuple[str, ...]
    limit_s: float = 110.0
    one_gpu: str = ""
    goals: tuple[float, float] = (0.0, 1000.0)


HALF = (*MIXTURE, "--pack-tokens", "6144")
"""Three packs a GPU: 49 GiB by the plan where experts are divided, 80 in one pack."""
FP8 = (*MIXTURE, "--quantize", "fp8")
STEP = "several_gpus_step.py"
ARMS = (
    Arm("30B-A3B, one GPU", STEP, 1, MIXTURE, 150),
    Arm("30B-A3B, experts divided", STEP, 2, (*HALF, "--parallel", "experts"), 150, "30B-A3B, one GPU", (1.75, 52)),
    Arm("8B, one GPU", STEP, 1, DENSE),
    Arm("8B, weights divided", STEP, 2, (*DENSE, "--parallel", "weights"), 110, "8B, one GPU", (1.85, 1000)),
    Arm("8B, replicated", STEP, 2, DENSE, 110, "8B, one GPU", (1.97, 1000)),
    Arm("nano, texlens train", "several_gpus_commands.py", 0, (), 150),
    Arm("nano, layers on two GPUs", "several_gpus_reading.py", 0, ()),
    Arm("loading 61 GB", "divided_loading.py", 0, ("--gib", "57", "--experts", "--sparse", "--gpu"), 120),
    Arm("30B-A3B, all divided", STEP, 2, (*HALF, "--parallel", "both"), 110, "30B-A3B, one GPU"),
    Arm("30B-A3B in fp8, one GPU", STEP, 1, FP8, 110),
    Arm("30B-A3B in fp8, experts divided", STEP, 2, (*FP8, "--parallel", "experts"), 110, "30B-A3B in fp8, one GPU"),
    Arm("30B-A3B in fp8, weights divided", STEP, 2, (*FP8, "--parallel", "weights"), 110, "30B-A3B in fp8, one GPU"),
)


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # the arm under way is ended too
    began = time.monotonic()
    report = {"command": " ".join(["python", *sys.argv]), "date": time.strftime("%Y-%m-%d"), "arms": {}}
    if options.one_gpu:
        report["arms"] = on_one_gpu(options)
        written(report, options)
        return
    for arm in chosen(options):
        left = options.limit - (time.monotonic() - began)
        limit = min(arm.limit_s * (CPU_PATIENCE if options.tiny else 1), left)
        result = run(arm, limit, options) if left > LEAST_S else {"failed": "not begun: no time left"}
        report["arms"][arm.name] = compared(arm, result, report["arms"])
        print(arm.name, json.dumps(report["arms"][arm.name]), flush=True)
        written(report, options)


def chosen(options) -> list[Arm]:
    arms = [arm for arm in ARMS if arm.script == STEP or not options.one_gpu]
    return [arm for arm in arms if not options.only or any(part in arm.name for part in options.only)]


def written(report: dict, options) -> None:
    if options.output:
        Path(options.output).write_text(json.dumps(report, indent=1) + "\n")


def on_one_gpu(options) -> dict:
    """Arms beside each other, whose rates mean nothing: what each process holds by the plan, and loss and norm."""
    arms = chosen(options)
    with ThreadPoolExecutor(BESIDE) as pool:
        results = list(pool.map(lambda arm: run(arm, arm.limit_s, options), arms))
    figures = {arm.name: result for arm, result in zip(arms, results, strict=True)}
    for arm in arms:
        result, single = figures[arm.name], figures.get(arm.one_gpu, {})
        for rate in ("rows_per_s", "step_s", "adding_gradients_s"):
            result.pop(rate, None)
        if result.get("plan"):
            result["peak_by_plan"] = round(max(result["peak_gib"]) / result["plan"]["allocated_gib"], 3)
        if "loss_and_norm" in result and "loss_and_norm" in single:
            result["differences_of_loss_and_norm"] = far(result, single)
        print(arm.name, json.dumps(result), flush=True)
    return figures


def far(result: dict, single: dict) -> list[float]:
    """Relative differences of loss and norm."""
    pairs = zip(result["loss_and_norm"], single["loss_and_norm"], strict=True)
    return [round(abs(a / b - 1), 7) for a, b in pairs]


def run(arm: Arm, limit_s: float, options) -> dict:
    """The arm's result, with `failed` where it has none or ended late."""
    with tempfile.TemporaryDirectory() as folder:
        result, log = Path(folder, "result.json"), Path(folder, "log")
        began = time.monotonic()
        with log.open("w") as file:
            process = subprocess.Popen(
                command_of(arm, result, options),
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment(arm.processes, options),
                start_new_session=True,
            )
            failed = ended(process, limit_s)
        figures = json.loads(result.read_text()) if result.exists() and result.stat().st_size else {}
        if failed or not figures:
            figures["failed"] = failed or "no result"
            figures["log"] = log.read_text(errors="replace")[-3000:]
        return {**figures, "seconds_of_arm": round(time.monotonic() - began, 1)}


def command_of(arm: Arm, result: Path, options) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(arm.processes)]
    script = [*(launcher if arm.processes > 1 else []), str(HERE / arm.script)]
    modes = ["--tiny"] * options.tiny + ["--one-gpu"] * options.one_gpu
    return [sys.executable, *script, *arm.arguments, *modes, "--result", str(result)]


def environment(processes: int, options) -> dict[str, str]:
    paths = [str(HERE.parent / "src"), os.environ.get("PYTHONPATH", "")]
    first_alone = processes == 1 or options.one_gpu
    visible = {"CUDA_VISIBLE_DEVICES": ""} if options.tiny else {"CUDA_VISIBLE_DEVICES": "0"} if first_alone else {}
    return {**os.environ, **visible, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


def ended(process: subprocess.Popen, limit_s: float) -> str | None:
    """Waits, and ends the process with all that it started; why that was no success, or None."""
    try:
        code = process.wait(limit_s)
        return f"exit code {code}" if code else None
    except subprocess.TimeoutExpired:
        return f"longer than {limit_s:.0f} s"
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(END_S)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue


def compared(arm: Arm, result: dict, others: dict) -> dict:
    """With the rate by that of one GPU, and whether the goals are met."""
    single = others.get(arm.one_gpu, {})
    if "rows_per_s" not in result or "rows_per_s" not in single:
        return result
    ratio, peak = result["rows_per_s"] / single["rows_per_s"], max(result["peak_gib"])
    least, most = arm.goals
    return {
        **result,
        "of_one_gpu": round(ratio, 4),
        "differences_of_loss_and_norm": far(result, single),
        "goals": {"of_one_gpu": least, "peak_gib": most, "met": ratio >= least and peak <= most},
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", help="part of the names of the arms; may be repeated")
    parser.add_argument("--limit", type=float, default=530.0, help="seconds of all arms together")
    parser.add_argument("--tiny", action="store_true", help="small models, on the CPU")
    parser.add_argument("--one-gpu", action="store_true", help="the arms of training, on one GPU, models of 4 layers")
    parser.add_argument("--output")
    options = parser.parse_args()
    if options.tiny:
        options.limit *= CPU_PATIENCE
    return options


if __name__ == "__main__":
    main()
