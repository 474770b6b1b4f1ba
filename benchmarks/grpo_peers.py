"""GRPO steps of TRL on the pictures and the random model of `grpo_gpu.py`, beside TexLens: images a second, memory.

    python benchmarks/grpo_peers.py --rows 16 --limit-s 60 --output benchmarks/results/grpo-trl_h200_DATE.json
    python benchmarks/grpo_peers.py --tiny                     # two narrow layers, on the CPU: only whether it runs

Each arm is a process: TexLens (`grpo_gpu.py`), TRL without gradient checkpointing, and TRL's defaults, which
checkpoint. As many images a step and 8 answers of at most 115 tokens to each, LoRA r 16 on the seven text projections,
bf16; TRL's answers by transformers' `generate`, the way it draws for pictures without vLLM. Rewards are the same two,
computed by as many processes, after the reading, since a reward function of TRL takes finished answers. TRL's last
step of two is the figure; an arm that is ended by `--limit-s` before it gives its first step, whose warm-up is in it,
or what it did of that step: `at_most_images_per_s` is the step's images over the seconds that were not enough for it.
The file is written after every arm.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "src"))

TEXLENS = "TexLens"
ARMS = {"no checkpointing": {"gradient_checkpointing": False}, "defaults": {"gradient_checkpointing": True}}
TEXLENS_STEPS = 9
"""Those after the fifth are timed."""
PROGRESS_S = 5.0
QUESTION = "Transcribe the LaTeX of this image."
REWARDS = {"edit_similarity": 1.0, "cdm_f1": 1.0}


def main() -> None:
    options = _options()
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TRL_EXPERIMENTAL_SILENCE": "1"}
    if options.arm:
        run(options)
        return
    arms: dict[str, dict] = {}
    for arm in options.arms:
        arms[arm] = _texlens(options) if arm == TEXLENS else _in_a_process(arm, options.limit_s)
        print(arm, arms[arm], flush=True)
        report = {
            "theme": "grpo, TexLens and TRL",
            "date": datetime.now(UTC).date().isoformat(),
            "command": " ".join(["python", *sys.argv]),
            "versions": {name: version(name) for name in ("torch", "transformers", "trl", "peft")},
            "model": options.model,
            "images_per_step": options.rows,
            "answers": options.answers,
            "new_tokens": options.new_tokens,
            "arms": arms,
        }
        if options.output:
            Path(options.output).write_text(json.dumps(report, indent=1) + "\n")


def _texlens(options: argparse.Namespace) -> dict:
    """What `grpo_gpu.py` says of steps of the same size, and how it ended."""
    with tempfile.TemporaryDirectory() as aside:
        file = Path(aside) / "result.json"
        sizes = {"--rows": options.rows, "--answers": options.answers, "--new-tokens": options.new_tokens}
        command = [sys.executable, str(HERE / "grpo_gpu.py"), "--steps", str(TEXLENS_STEPS), "--model", options.model]
        command += [str(word) for pair in sizes.items() for word in pair]
        command += ["--output", str(file), *(["--tiny"] if options.tiny else [])]
        code = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
        result = json.loads(file.read_text()) if file.is_file() else {}
    for name in ("phases", "memory_at_the_peak"):
        result.pop(name, None)
    return result | ({"ended_by": code} if code else {})


def _in_a_process(arm: str, limit_s: float) -> dict:
    """The last figures that the arm printed, and how it ended; what it prints is shown at once. With it end the
    processes that it started, which would keep its output open."""
    command = [sys.executable, *sys.argv, "--arm", arm]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    timer = threading.Timer(limit_s, os.killpg, (child.pid, signal.SIGKILL))
    timer.start()
    assert child.stdout is not None
    figures: dict = {}
    for line in child.stdout:
        if line.startswith('{"'):
            figures = json.loads(line)
            print(arm, line, end="", flush=True)
    code = child.wait()
    timer.cancel()
    return figures | ({"ended_by": code} if code else {})


def run(options: argparse.Namespace) -> None:
    """Prints the figures as a line of JSON after every step."""
    import torch
    from fast_path_rows import GIB, base_model, settings_of, synchronize, text_projections
    from peft import LoraConfig
    from trl import GRPOConfig, GRPOTrainer

    began = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    on_gpu = device.type == "cuda"
    settings = settings_of(options.model, options.tiny)
    with tempfile.TemporaryDirectory() as aside:
        processor = processor_in(Path(aside), settings)
        rows = rows_of(Path(aside) / "data", options, settings["vision_config"].get("patch_size", 14))
        model = base_model(settings, device)
        rewards, scorer = reward_function(min(8, (os.cpu_count() or 1) // 2))
        trainer = GRPOTrainer(
            model,
            rewards,
            args=GRPOConfig(
                output_dir=f"{aside}/out",
                per_device_train_batch_size=options.micro_batch,
                gradient_accumulation_steps=options.rows * options.answers // options.micro_batch,
                num_generations=options.answers,
                max_completion_length=options.new_tokens,
                max_steps=options.steps,
                learning_rate=1e-4,
                bf16=on_gpu,
                use_cpu=not on_gpu,
                optim="adamw_torch_fused",
                report_to="none",
                save_strategy="no",
                logging_steps=1,
                disable_tqdm=True,
                **ARMS[options.arm],
            ),
            train_dataset=rows,
            processing_class=processor,
            peft_config=LoraConfig(
                r=16, lora_alpha=16, target_modules=text_projections(settings), task_type="CAUSAL_LM"
            ),
        )
        set_up = round(time.monotonic() - began, 1)

        def on_step(seconds: list[float], log: dict) -> None:
            figures = {
                "device": torch.cuda.get_device_name() if on_gpu else "CPU",
                "micro_batch": options.micro_batch,
                "set_up_s": set_up,
                "steps_s": [round(value, 3) for value in seconds],
                "images_per_s": round(options.rows / seconds[-1], 3),
                "answer_tokens": log.get("completions/mean_length"),
                "reward": log.get("reward"),
                "step_time": log.get("step_time"),
                "peak_gib": round(torch.cuda.max_memory_allocated() / GIB, 2) if on_gpu else None,
            }
            print(json.dumps(figures), flush=True)

        trainer.add_callback(_step_ends(on_step, lambda: synchronize(device)))
        _report_progress(trainer, options, {"set_up_s": set_up})
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        try:
            trainer.train()
        finally:
            scorer.close()


def _report_progress(trainer, options: argparse.Namespace, figures: dict) -> None:
    """Prints how far the first step is, every few seconds, as figures of an arm that is ended before its end."""
    state = {"generated_s": None, "micro_batches": 0}
    began = time.monotonic()
    generate, train = trainer._generate, trainer.training_step

    def generated(*args, **kwargs):
        result = generate(*args, **kwargs)
        state["generated_s"] = state["generated_s"] or round(time.monotonic() - began, 1)
        return result

    def trained(*args, **kwargs):
        result = train(*args, **kwargs)
        state["micro_batches"] += 1
        return result

    trainer._generate, trainer.training_step = generated, trained
    micro_batches = options.rows * options.answers // options.micro_batch

    def watch() -> None:
        while state["micro_batches"] < micro_batches:
            time.sleep(PROGRESS_S)
            seconds = time.monotonic() - began
            if state["micro_batches"] < micro_batches:
                bound = {"seconds": round(seconds, 1), "at_most_images_per_s": round(options.rows / seconds, 3)}
                print(json.dumps(figures | state | {"micro_batches_of": micro_batches} | bound), flush=True)

    threading.Thread(target=watch, daemon=True).start()


def processor_in(folder: Path, settings: dict):
    """transformers' own processor over a byte tokenizer with Qwen's ids."""
    from fast_path_peers import write_processor
    from transformers import AutoProcessor

    write_processor(folder, settings)
    (folder / "config.json").write_text(json.dumps(settings))
    return AutoProcessor.from_pretrained(folder, padding_side="left", min_pixels=4096)


def rows_of(folder: Path, options: argparse.Namespace, patch: int):
    """The pictures and texts of `grpo_gpu.py` as a data set for TRL."""
    from datasets import Dataset, Image, load_dataset
    from fast_path_end_to_end import write_rows

    from texlens.models.bundled import NANO_FOLDER
    from texlens.models.processor import load_tokenizer

    write_rows(folder, options.rows * options.steps, patch, load_tokenizer(NANO_FOLDER))
    rows: Dataset = load_dataset("parquet", data_files=str(next(folder.glob("*.parquet"))), split="train")
    prompts = [[{"role": "user", "content": QUESTION}]] * len(rows)
    return rows.cast_column("image", Image()).add_column("prompt", prompts)


def reward_function(processes: int):
    """A reward function of TRL, and the scorer that it asks."""
    from texlens.metrics.prediction import Prediction
    from texlens.rewards.score import RewardScorer, RewardSpec

    scorer = RewardScorer(RewardSpec(REWARDS), processes)

    def reward(completions, text, **_) -> list[float]:
        answers = [completion[0]["content"] for completion in completions]
        parts = [scorer.submit([Prediction("row", label, answer)]) for answer, label in zip(answers, text, strict=True)]
        return [answer.total for answer in scorer.collect(parts)]

    return reward, scorer


def _step_ends(on_step, wait):
    from transformers import TrainerCallback

    class StepEnds(TrainerCallback):
        """Calls `on_step` with the seconds of the steps so far and the last one's log."""

        def __init__(self) -> None:
            self.ends: list[float] = []

        def on_train_begin(self, args, state, control, **kwargs):
            self.ends.append(time.perf_counter())

        def on_step_end(self, args, state, control, **kwargs):
            wait()
            self.ends.append(time.perf_counter())

        def on_log(self, args, state, control, logs=None, **kwargs):
            if len(self.ends) > 1 and "completions/mean_length" in (logs or {}):
                on_step([end - before for before, end in pairwise(self.ends)], logs)

    return StepEnds()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arm", choices=ARMS, help="in this process, and print its figures alone")
    parser.add_argument("--arms", nargs="+", choices=(TEXLENS, *ARMS), default=[TEXLENS, *ARMS])
    parser.add_argument("--limit-s", type=float, default=200, help="of an arm")
    parser.add_argument("--model", default="Qwen3-VL-4B-Instruct")
    parser.add_argument("--rows", type=int, default=64, help="images of a step")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--answers", type=int, default=8)
    parser.add_argument("--new-tokens", type=int, default=115)
    parser.add_argument("--micro-batch", type=int, default=16)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--output")
    options = parser.parse_args()
    if options.tiny:
        options.rows, options.answers, options.new_tokens, options.micro_batch = 2, 2, 8, 2
    return options


if __name__ == "__main__":
    main()
