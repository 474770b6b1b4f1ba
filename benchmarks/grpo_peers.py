"""GRPO steps of TRL on the pictures and the random model of `grpo_gpu.py`: images a second, memory.

    python benchmarks/grpo_peers.py --output benchmarks/results/grpo-trl_h200_DATE.json
    python benchmarks/grpo_peers.py --tiny                     # two narrow layers, on the CPU: only whether it runs

Each arm is a process: TRL's defaults (gradient checkpointing), and without checkpointing. 64 images a step and 8
answers of at most 115 tokens to each as in `grpo_gpu.py`, LoRA r 16 on the seven text projections, bf16, answers by
transformers' `generate`, the way TRL draws for pictures without vLLM. Rewards are the same two, computed by as many
processes, after the reading, since a reward function of TRL takes finished answers. Steps after the first are timed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "src"))

ARMS = {"defaults": {"gradient_checkpointing": True}, "no checkpointing": {"gradient_checkpointing": False}}
QUESTION = "Transcribe the LaTeX of this image."
REWARDS = {"edit_similarity": 1.0, "cdm_f1": 1.0}


def main() -> None:
    options = _options()
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TRL_EXPERIMENTAL_SILENCE": "1"}
    if options.arm:
        print(json.dumps(run(options)), flush=True)
        return
    arms = {}
    for arm in ARMS:
        done = subprocess.run([sys.executable, *sys.argv, "--arm", arm], stdout=subprocess.PIPE, text=True)
        lines = done.stdout.strip().splitlines()
        arms[arm] = json.loads(lines[-1]) if done.returncode == 0 else {"failed": done.returncode}
        print(arm, arms[arm], flush=True)
    report = {
        "theme": "grpo, TRL",
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


def run(options: argparse.Namespace) -> dict:
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
        ends: list[float] = []
        trainer.add_callback(_step_ends(ends, lambda: synchronize(device)))
        set_up = time.monotonic() - began
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        trainer.train()
        scorer.close()
    seconds = (ends[-1] - ends[0]) / (len(ends) - 1)
    logs = [log for log in trainer.state.log_history if "completions/mean_length" in log]
    return {
        "device": torch.cuda.get_device_name() if on_gpu else "CPU",
        "micro_batch": options.micro_batch,
        "set_up_s": round(set_up, 1),
        "step_s": round(seconds, 3),
        "images_per_s": round(options.rows / seconds, 3),
        "answer_tokens": round(logs[-1]["completions/mean_length"], 1),
        "reward": logs[-1].get("reward"),
        "peak_gib": round(torch.cuda.max_memory_allocated() / GIB, 2) if on_gpu else None,
    }


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


def _step_ends(ends: list[float], wait):
    from transformers import TrainerCallback

    class StepEnds(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            wait()
            ends.append(time.perf_counter())

    return StepEnds()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arm", choices=ARMS, help="in this process, and print its figures alone")
    parser.add_argument("--model", default="Qwen3-VL-4B-Instruct")
    parser.add_argument("--rows", type=int, default=64, help="images of a step")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--answers", type=int, default=8)
    parser.add_argument("--new-tokens", type=int, default=115)
    parser.add_argument("--micro-batch", type=int, default=32)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--output")
    options = parser.parse_args()
    if options.tiny:
        options.rows, options.answers, options.new_tokens, options.micro_batch = 2, 2, 8, 2
    return options


if __name__ == "__main__":
    main()
