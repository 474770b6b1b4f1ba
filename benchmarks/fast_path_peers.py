"""One training step of other people's trainers, on the rows and the random weights of `fast_path.py`; an arm a process.

    python benchmarks/fast_path_peers.py --list
    python benchmarks/fast_path_peers.py --build --folder FOLDER              # the checkpoint that Unsloth reads
    python benchmarks/fast_path_peers.py --arm "Unsloth, no checkpointing, 32" --folder FOLDER --output FILE
    python benchmarks/fast_path_peers.py --arm "Trainer + PEFT, no checkpointing, 8" --tiny     # on the CPU

LoRA r=16 on the seven text projections, vision frozen, fused AdamW, gradient clipping, bf16. Batches are padded to
their longest row and pinned beforehand; a step is timed from the host's copy of its batch on, and reports its loss, as
trainers do by default. Peak memory is that of the timed steps. With `--gated` an arm says when it is ready and when it
is warm, and waits for a line on its standard input each time (`side_by_side.py`).
"""

import argparse
import dataclasses
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "UNSLOTH_DISABLE_STATISTICS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
TEMPLATE = (
    "{%- for m in messages %}<|im_start|>{{ m.role }}\n{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for part in m.content %}{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ADDED = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>"),
    *("<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
)
"""Qwen's first tokens after its 151,643 pieces, in the order of their ids."""


@dataclasses.dataclass(frozen=True)
class Arm:
    name: str
    micro_batch: int
    checkpointing: bool = False
    liger: bool = False
    unsloth: bool = False
    base: str = "16-bit"
    """How the frozen weights are kept: 16-bit, fp8 or 4-bit."""
    patch_product: bool = False
    """The patch embedding as one matrix product in place of the stock Conv3d, at equal numbers."""


ARMS = (
    Arm("Trainer + PEFT, as tutorials do it, 8", 8, checkpointing=True),
    Arm("Trainer + PEFT, no checkpointing, 8", 8, patch_product=True),
    Arm("Trainer + PEFT + Liger, no checkpointing, 8", 8, patch_product=True, liger=True),
    Arm("Trainer + PEFT + Liger, no checkpointing, 32", 32, patch_product=True, liger=True),
    Arm("Unsloth, its defaults, 8", 8, unsloth=True, checkpointing=True),
    Arm("Unsloth, no checkpointing, 8", 8, unsloth=True),
    Arm("Unsloth, no checkpointing, 32", 32, unsloth=True),
    Arm("Unsloth fp8, no checkpointing, 32", 32, unsloth=True, base="fp8"),
    Arm("Unsloth 4-bit, its defaults, 8", 8, unsloth=True, base="4-bit", checkpointing=True),
)


def main() -> None:
    options = _options()
    if options.list:
        print("\n".join(arm.name for arm in ARMS))
        return
    os.environ.update(OFFLINE)
    for package in options.without:
        sys.modules[package] = None  # type: ignore[assignment]  as if it were not installed
    folder = checkpoint_folder(options)
    here = Path.cwd()
    output = here / options.output if options.output else None
    if options.build:
        build(folder, options)
        return
    arm = next((arm for arm in ARMS if arm.name == options.arm), None)
    if arm is None:
        raise SystemExit(f"--arm {options.arm}: no arm of this name; --list prints them")
    os.chdir(_scratch(options))
    report = run(arm, folder, options)
    print(json.dumps(report), flush=True)
    if output:
        output.write_text(json.dumps(report) + "\n")


def checkpoint_folder(options: argparse.Namespace) -> Path:
    return (Path(options.folder) / (f"{options.model}-tiny" if options.tiny else options.model)).absolute()


def build(folder: Path, options: argparse.Namespace) -> None:
    """The random model and a processor as a checkpoint on disk, unless it is there already."""
    import torch
    from fast_path_rows import base_model, gate, settings_of

    gate("ready", options.gated)
    if not (folder / "done").exists():
        settings = settings_of(options.model, options.tiny)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        folder.mkdir(parents=True, exist_ok=True)
        base_model(settings, device).save_pretrained(folder, max_shard_size="40GB")
        write_processor(folder, settings)
        (folder / "done").write_text("")
    print(json.dumps({"checkpoint": str(folder)}), flush=True)


def write_processor(folder: Path, settings: dict) -> None:
    """A byte tokenizer whose special tokens have Qwen's ids, and the family's image processor."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import AddedToken, Qwen2Tokenizer

    from texlens.data.geometry import ImageGeometry
    from texlens.models.families import family_of
    from texlens.models.processor import Processor, save_processor

    family, first_added = family_of(settings), 151643
    pieces = sorted(ByteLevel.alphabet())
    pieces += [f"<unused-{number}>" for number in range(first_added - len(pieces))]
    vocabulary = {piece: number for number, piece in enumerate([*pieces, *ADDED])}
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary, merges=[], unk_token=None, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in ADDED])
    ids = tokenizer.get_vocab()
    wrong = [token for number, token in enumerate(ADDED, first_added) if ids[token] != number]
    if wrong:
        raise SystemExit(f"{folder}: the tokenizer gives {wrong[0]} another id than Qwen does")
    tokenizer.chat_template = TEMPLATE
    geometry = ImageGeometry(family.patch_size, mean=family.mean, std=family.std)
    save_processor(Processor(tokenizer, geometry, ids["<|image_pad|>"], ids["<|im_end|>"], family), folder)


def run(arm: Arm, folder: Path, options: argparse.Namespace) -> dict:
    if arm.unsloth:
        import unsloth  # noqa: F401  before transformers, as it asks
    import torch
    from fast_path_rows import GIB, gate, matrix_rate, settings_of, synchronize, work_of

    settings = settings_of(options.model, options.tiny)
    micro_batch = min(arm.micro_batch, 4) if options.tiny else arm.micro_batch
    steps = options.warm_up + options.steps
    batches = padded_batches(micro_batch, steps, settings)
    work = work_of(settings)
    gate("ready", options.gated)
    began = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    on_gpu = device.type == "cuda"
    rate = matrix_rate(device, options.tiny)
    if on_gpu:
        torch.cuda.empty_cache()
        batches = [{name: value.pin_memory() for name, value in batch.items()} for batch in batches]
    model, processor = unsloth_model(arm, folder) if arm.unsloth else stock_model(arm, settings, device)
    set_up = time.monotonic() - began
    clock = clock_of(options, device)
    trainer = trainer_of(arm, model, processor, batches, micro_batch, clock, on_gpu)
    trainer.train()
    synchronize(device)
    ends = clock.ends
    spent = ends[-1] - ends[options.warm_up - 1]
    timed = [counts(batch) for batch in batches[options.warm_up :]]
    tokens, labels, patches, padded = (sum(column) for column in zip(*timed, strict=True))
    tflops = work.flops(tokens, labels, patches) / spent / 1e12
    logs = [log for log in trainer.state.log_history if "loss" in log]
    return {
        **dataclasses.asdict(arm),
        "arm": arm.name,
        "device": torch.cuda.get_device_name() if on_gpu else "CPU",
        "matrix_tflops": round(rate, 4),
        "rows": micro_batch,
        "samples_per_s": round(options.steps * micro_batch / spent, 2),
        "tokens_per_s": round(tokens / spent),
        "tflops": round(tflops, 1),
        "share_of_matrix_rate": round(tflops / rate, 3),
        "peak_gib": round(torch.cuda.max_memory_allocated() / GIB, 2) if on_gpu else None,
        "reserved_gib": round(torch.cuda.max_memory_reserved() / GIB, 2) if on_gpu else None,
        "set_up_s": round(set_up, 1),
        "first_step_s": round(ends[0] - clock.began, 1),
        "median_step_s": round(statistics.median(later - sooner for sooner, later in clock.steps(options.warm_up)), 4),
        "share_not_padding": round(tokens / padded, 3),
        "loss": [round(float(logs[0]["loss"]), 4), round(float(logs[-1]["loss"]), 4)],
        "gradient_norm": round(float(logs[-1].get("grad_norm", float("nan"))), 5),
        "trained_parameters": sum(value.numel() for value in model.parameters() if value.requires_grad),
    }


def padded_batches(micro_batch: int, steps: int, settings: dict) -> list[dict]:
    """The rows side by side as the stock collators lay them: padded on the right, patches as float32."""
    from fast_path_rows import made_examples

    from texlens.data.geometry import ImageGeometry
    from texlens.models.families import family_of

    family = family_of(settings)
    geometry = ImageGeometry(family.patch_size, mean=family.mean, std=family.std)
    examples = made_examples(micro_batch * steps, family.patch_size)
    starts = range(0, len(examples), micro_batch)
    return [padded_batch(examples[start : start + micro_batch], geometry) for start in starts]


def padded_batch(examples: list, geometry) -> dict:
    import torch
    from fast_path_rows import IMAGE, PAD

    longest = max(map(len, examples))
    fill = lambda values, filler: [*values, *[filler] * (longest - len(values))]  # noqa: E731
    token_ids = torch.tensor([fill(example.input_ids, PAD) for example in examples])
    return {
        "input_ids": token_ids,
        "attention_mask": torch.tensor([fill([1] * len(example), 0) for example in examples]),
        "labels": torch.tensor([fill(example.labels, -100) for example in examples]),
        "pixel_values": torch.cat([normalized(example.patches, geometry) for example in examples]),
        "image_grid_thw": torch.tensor([example.grid for example in examples]),
        "mm_token_type_ids": (token_ids == IMAGE).int(),
    }


def normalized(patches, geometry):
    """Patches [P, 3 x area] of bytes as the stock processor gives them: [P, 3 x frames x area], float32."""
    import torch

    from texlens.inputs.image_patches import normalized_values

    values = torch.from_numpy(normalized_values(geometry.mean, geometry.std))
    parts = torch.from_numpy(patches).long().view(len(patches), 3, 1, -1)
    colors = torch.stack([values[channel][parts[:, channel]] for channel in range(3)], 1)
    return colors.expand(-1, -1, geometry.temporal_patch_size, -1).reshape(len(patches), -1).contiguous()


def counts(batch: dict) -> tuple[int, int, int, int]:
    """Tokens, label tokens, patches, and tokens with their padding."""
    mask = batch["attention_mask"]
    return int(mask.sum()), int((batch["labels"] != -100).sum()), len(batch["pixel_values"]), mask.numel()


def stock_model(arm: Arm, settings: dict, device):
    """transformers' model with PEFT's adapters, and no processor."""
    from fast_path_rows import RANK, base_model, text_projections
    from peft import LoraConfig, get_peft_model

    model = base_model(settings, device)
    model.config.use_cache = False
    if arm.liger:
        apply_liger(model, settings["model_type"])
    if arm.patch_product:
        embedding_as_product(model.model.visual.patch_embed)
    adapters = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=text_projections(settings), task_type="CAUSAL_LM")
    adapted = get_peft_model(model, adapters)
    if arm.checkpointing:
        adapted.enable_input_require_grads()
    return adapted, None


def apply_liger(model, model_type: str) -> None:
    from liger_kernel import transformers as liger

    getattr(liger, f"apply_liger_kernel_to_{model_type}")(model=model)


def embedding_as_product(embedding) -> None:
    from torch.nn.functional import linear

    weight, bias = embedding.proj.weight, embedding.proj.bias
    flat = weight.view(weight.shape[0], -1)
    embedding.forward = lambda patches: linear(patches.to(weight.dtype).view(-1, flat.shape[1]), flat, bias)


def unsloth_model(arm: Arm, folder: Path):
    """Unsloth's model with its adapters, and its processor."""
    from fast_path_rows import RANK
    from unsloth import FastVisionModel

    loads = {
        "16-bit": {"load_in_4bit": False, "load_in_16bit": True},
        "fp8": {"load_in_4bit": False, "load_in_fp8": True},
        "4-bit": {"load_in_4bit": True},
    }
    checkpointing = "unsloth" if arm.checkpointing else False
    model, processor = FastVisionModel.from_pretrained(
        str(folder),
        max_seq_length=2048,
        use_gradient_checkpointing=checkpointing,
        local_files_only=True,
        **loads[arm.base],
    )
    model = FastVisionModel.get_peft_model(
        model,
        finetune_vision_layers=False,
        finetune_language_layers=True,
        finetune_attention_modules=True,
        finetune_mlp_modules=True,
        r=RANK,
        lora_alpha=RANK,
        lora_dropout=0,
        bias="none",
        use_gradient_checkpointing=checkpointing,
        random_state=0,
    )
    FastVisionModel.for_training(model)
    return model, processor


def trainer_of(arm: Arm, model, processor, batches: list[dict], micro_batch: int, clock, on_gpu: bool):
    """transformers' Trainer, or TRL's as Unsloth changes it; rows come in their order."""
    from torch.utils.data import SequentialSampler

    rows = [{"row": row} for row in range(len(batches) * micro_batch)]
    settings = {
        "per_device_train_batch_size": micro_batch,
        "gradient_accumulation_steps": 1,
        "max_steps": len(batches),
        "learning_rate": 1e-4,
        "logging_steps": 1,
        "report_to": "none",
        "output_dir": "out",
        "remove_unused_columns": False,
        "save_strategy": "no",
        "bf16": on_gpu,
        "optim": "adamw_torch_fused",
        "dataloader_num_workers": 0,
        "use_cpu": not on_gpu,
        "disable_tqdm": True,
    }
    common = {
        "model": model,
        "data_collator": lambda rows: dict(batches[rows[0]["row"] // micro_batch]),
        "callbacks": [clock],
    }
    if arm.unsloth:
        import datasets
        from trl import SFTConfig, SFTTrainer

        settings |= {"dataset_text_field": "", "max_length": None}
        settings["dataset_kwargs"] = {"skip_prepare_dataset": True}
        rows = datasets.Dataset.from_list(rows)
        trainer = SFTTrainer(args=SFTConfig(**settings), train_dataset=rows, processing_class=processor, **common)
    else:
        from transformers import Trainer, TrainingArguments

        if arm.checkpointing:
            settings |= {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}}
        trainer = Trainer(args=TrainingArguments(**settings), train_dataset=rows, **common)
    trainer._get_train_sampler = lambda *_, **__: SequentialSampler(rows)
    return trainer


def clock_of(options: argparse.Namespace, device):
    """A callback that keeps the end of each step; the device is waited for after the first, before and after timing."""
    import torch
    from fast_path_rows import gate, synchronize
    from transformers import TrainerCallback

    last = options.warm_up + options.steps

    class Clock(TrainerCallback):
        began, ends = 0.0, []

        def on_step_begin(self, args, state, control, **kwargs):
            self.began = self.began or time.perf_counter()

        def on_step_end(self, args, state, control, **kwargs):
            step = state.global_step
            if step in (1, options.warm_up, last):
                synchronize(device)
            if step == options.warm_up:
                gate("warm", options.gated)
                if device.type == "cuda":
                    torch.cuda.reset_peak_memory_stats()
            self.ends.append(time.perf_counter())
            if options.each:
                print(f"step {step} issued {self.ends[-1] - self.began:.1f} s after the first began", flush=True)

        def steps(self, warm_up: int):
            return zip(self.ends[warm_up - 1 : -1], self.ends[warm_up:], strict=True)

    return Clock()


def _scratch(options: argparse.Namespace) -> Path:
    """Where trainers may leave what they like: kept for one another, since Unsloth's compiled sources lie there."""
    scratch = Path(options.folder) / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    return scratch


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arm")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--build", action="store_true", help="write the checkpoint that Unsloth reads")
    parser.add_argument("--model", default="Qwen3-VL-4B-Instruct")
    parser.add_argument("--folder", default=f"{tempfile.gettempdir()}/fast_path_peers", help="checkpoints and scratch")
    parser.add_argument("--output")
    parser.add_argument("--warm-up", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--each", action="store_true", help="says when each step was issued")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--gated", action="store_true")
    parser.add_argument("--without", nargs="*", default=(), help="packages that the arm shall not find")
    return parser.parse_args()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
