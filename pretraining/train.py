"""Pre-train the nano model on formulas drawn without end, plus LaTeX_OCR's `full` train rows.

    python -m pretraining.train --data LATEX_OCR_FOLDER --out OUT --total-minutes 36 --minutes 9 [--resume OUT/state.pt]
    python -m pretraining.train --mixture wide --extras FOLDER --init model.safetensors --data … --out … --minutes 18

The rate follows the share of `--total-minutes` that all calls together have used, so the work can be cut into calls
of `--minutes`. Packs are drawn by worker processes; each worker's random stream is set by seed, call and number.
What comes out: `state.pt` (weights and optimizer, to go on), `model.safetensors` (float16), `log.jsonl`,
`provenance.json` (settings, data and fonts by their digests, versions).
"""

import argparse
import json
import math
import multiprocessing
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoTokenizer, Qwen3VLForConditionalGeneration

from pretraining.forward import pack_loss
from pretraining.nano_config import NANO, QUESTIONS
from pretraining.packs import Packer, PackSize, Prompt, packs
from pretraining.provenance import write_provenance
from pretraining.replay import PacksAhead, Replay
from pretraining.sampler import Mixture, narrow_samples, wide_samples

STAGES = {"narrow": ("short", "mixed", "natural"), "wide": ("begin", "wide", "settle")}


@dataclass(frozen=True)
class Plan:
    """Shares of the whole training time at which the first two stages end, and the learning rate's shape."""

    first_until: float = 0.10
    second_until: float = 0.35
    rate: float = 1.5e-3
    warm_up_steps: int = 200
    decay_from: float = 0.55

    def stage(self, share: float) -> int:
        return 0 if share < self.first_until else 1 if share < self.second_until else 2

    def rate_at(self, share: float, step: int) -> float:
        """Warm-up, constant, then a cosine to 1% of `rate`."""
        warm = min(1.0, (step + 1) / self.warm_up_steps)
        fallen = max(0.0, (share - self.decay_from) / (1 - self.decay_from))
        return self.rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, fallen))))


class PackStream(torch.utils.data.IterableDataset):
    """Packs without end; `stage` is shared with the parent, which moves it on."""

    def __init__(self, mixture: Mixture, size: PackSize, prompts: list[Prompt], side: int, seed: int, stage):
        self.mixture, self.size, self.prompts, self.side, self.seed = mixture, size, prompts, side, seed
        self.stage, self.stages = stage, STAGES[mixture.name]

    def __iter__(self):
        torch.set_num_threads(1)
        worker = torch.utils.data.get_worker_info()
        rng = random.Random(self.seed * 1009 + (worker.id if worker else 0))
        tokenizer = AutoTokenizer.from_pretrained(NANO)
        source = wide_samples if self.mixture.name == "wide" else narrow_samples
        samples = source(self.mixture, tokenizer, rng, lambda: self.stages[self.stage.value])
        packers = [Packer(self.size, prompt, self.side) for prompt in self.prompts]
        while True:
            packer = packers[0] if rng.random() < 0.85 else rng.choice(packers)
            yield {name: torch.as_tensor(array) for name, array in next(packs(samples, packer)).items()}


def build_prompt(tokenizer, question: str) -> Prompt:
    content = [{"type": "image"}, {"type": "text", "text": question}]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    ids = tokenizer(text)["input_ids"]
    image, end = tokenizer.convert_tokens_to_ids(["<|image_pad|>", "<|im_end|>"])
    image_index = ids.index(image)
    return Prompt(tuple(ids[:image_index]), tuple(ids[image_index + 1 :]), end, image)


def optimizers(model, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for embeddings, norms and biases."""
    inner, outer = [], []
    for name, parameter in model.named_parameters():
        matrix = parameter.ndim == 2 and "embed" not in name
        (inner if matrix else outer).append(parameter)
    fused = outer[0].is_cuda
    return [
        torch.optim.Muon(inner, lr=rate, weight_decay=0.05, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(outer, lr=rate, betas=(0.9, 0.98), weight_decay=0.0, fused=fused),
    ]


def new_model(device: str) -> Qwen3VLForConditionalGeneration:
    torch.manual_seed(0)
    model = Qwen3VLForConditionalGeneration(AutoConfig.from_pretrained(NANO))
    return model.float().to(device).train()


@torch.no_grad()
def blank_gap(model, loss_of, pack: dict) -> float:
    """How much the loss rises, in nats a token, when every image is blank: 0 means that the model ignores the image."""
    loss, count = loss_of(model, pack)
    blank, _ = loss_of(model, {**pack, "patches": torch.full_like(pack["patches"], 255)})
    return float((blank - loss) / count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="LaTeX_OCR folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=9, help="how long this call trains")
    parser.add_argument("--total-minutes", type=float, default=36, help="how long all calls together train")
    parser.add_argument("--resume", type=Path, help="go on from a state.pt")
    parser.add_argument("--init", type=Path, help="begin from the weights of a model.safetensors")
    parser.add_argument("--mixture", choices=tuple(STAGES), default="narrow")
    parser.add_argument("--extras", type=Path, help="folder with fonts/ and engines.parquet, for --mixture wide")
    parser.add_argument("--first-until", type=float, default=Plan.first_until)
    parser.add_argument("--second-until", type=float, default=Plan.second_until)
    parser.add_argument("--warm-up-steps", type=int, default=Plan.warm_up_steps)
    parser.add_argument("--decay-from", type=float, default=Plan.decay_from)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=15)
    parser.add_argument("--tokens", type=int, default=PackSize.tokens)
    parser.add_argument("--rate", type=float, default=Plan.rate)
    parser.add_argument(
        "--again", type=int, default=0, help="earlier packs trained on again, at most so many while no new one is ready"
    )
    parser.add_argument("--no-compile", action="store_true")
    args = parser.parse_args()
    train(args)


def train(args) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    args.out.mkdir(parents=True, exist_ok=True)
    plan = Plan(args.first_until, args.second_until, args.rate, args.warm_up_steps, args.decay_from)
    size = PackSize.of_tokens(args.tokens)
    mixture = Mixture(args.mixture, args.data, args.extras)
    write_provenance(args.out, vars(args), mixture.files())
    model = new_model(device)
    if args.init:
        model.load_state_dict(load_file(args.init), strict=False)
        model.tie_weights()
    groups = optimizers(model, plan.rate)
    done = {"step": 0, "seconds": 0.0, "samples": 0, "calls": 0}
    if args.resume:
        done = restore(args.resume, model, groups, device)
    stage = multiprocessing.Value("i", plan.stage(done["seconds"] / 60 / args.total_minutes))
    seed = args.seed + 7919 * done["calls"]
    loader = build_loader(mixture, size, workers=args.workers, seed=seed, stage=stage, device=device)
    loss_of = loss_function(size, device)
    step_loss = loss_function(size, device, compiled=not args.no_compile)
    run(args, plan, model, groups, loader, step_loss, loss_of, done, stage, device)


def build_loader(mixture: Mixture, size: PackSize, *, workers: int, seed: int, stage, device: str):
    """A loader of packs; `stage` is a number, or a shared value that the caller moves on."""
    tokenizer = AutoTokenizer.from_pretrained(NANO)
    prompts = [build_prompt(tokenizer, question) for question in QUESTIONS]
    side = int(AutoConfig.from_pretrained(NANO).vision_config.num_position_embeddings ** 0.5)
    stage = multiprocessing.Value("i", stage) if isinstance(stage, int) else stage
    stream = PackStream(mixture, size, prompts, side, seed, stage)
    return torch.utils.data.DataLoader(
        stream,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=device == "cuda",
    )


def loss_function(size: PackSize, device: str, *, compiled: bool = False):
    """`loss_of(model, pack)`: summed loss and number of labels, in bfloat16 on a GPU."""

    def loss_of(model, pack):
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            return pack_loss(model, pack, size.longest_image, size.longest_text)

    return torch.compile(loss_of, dynamic=False) if compiled else loss_of


def restore(path: Path, model, groups, device: str) -> dict:
    state = torch.load(path, map_location=device, weights_only=True)
    model.load_state_dict({name: value.to(device) for name, value in state["model"].items()})
    for optimizer, saved in zip(groups, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return state["done"]


def run(args, plan, model, groups, loader, step_loss, loss_of, done, stage, device) -> None:
    log = (args.out / "log.jsonl").open("a")
    began, carried = None, done["seconds"]
    sums = torch.zeros(2, device=device)
    replay = Replay(args.seed + done["calls"]) if args.again else None
    for pack, samples in with_replay(PacksAhead(loader), replay, args.again, device):
        share = done["seconds"] / 60 / args.total_minutes
        for optimizer in groups:
            for group in optimizer.param_groups:
                group["lr"] = plan.rate_at(share, done["step"])
        loss, count = step_loss(model, pack)
        (loss / count).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in groups:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        sums += torch.stack([loss.detach(), count.float()])
        done["step"], done["samples"] = done["step"] + 1, done["samples"] + samples
        began = began or time.monotonic()
        done["seconds"] = carried + time.monotonic() - began
        stage.value = plan.stage(done["seconds"] / 60 / args.total_minutes)
        if done["step"] % 50 == 0:
            nats = float(sums[0] / sums[1])
            sums.zero_()
            rate = plan.rate_at(share, done["step"])
            row = {**done, "stage": STAGES[args.mixture][stage.value], "loss": round(nats, 4), "rate": rate}
            row["samples_per_s"] = round((done["samples"]) / max(done["seconds"], 1e-9))
            if done["step"] % 500 == 0:
                row["blank_gap"] = round(blank_gap(model, loss_of, pack), 3)
            print(json.dumps(row), file=log, flush=True)
            print(row, flush=True)
        if done["step"] % 2000 == 0:
            save(args.out, model, groups, done)
        if done["seconds"] - carried >= args.minutes * 60:
            break
    done["calls"] += 1
    save(args.out, model, groups, done)


def with_replay(packs: PacksAhead, replay: Replay | None, again: int, device: str) -> Iterator[tuple[dict, int]]:
    """Packs on the device with their numbers of new samples; while no new one is ready, up to `again` earlier ones (0
    new samples) come after each."""
    for pack in packs:
        samples = int(pack.pop("samples"))
        pack = {name: array.to(device, non_blocking=True) for name, array in pack.items()}
        yield pack, samples
        if replay is None:
            continue
        replay.keep(pack)
        for _ in range(again):
            earlier = None if packs.is_ready else replay.again()
            if earlier is not None:
                yield earlier, 0


def save(out: Path, model, groups, done: dict) -> None:
    """float16 weights for use; the whole state in pieces that a later call goes on from."""
    half = {
        name: fold_channels(name, value.detach().float().cpu()).to(torch.float16).contiguous()
        for name, value in model.state_dict().items()
        if name != "lm_head.weight"
    }
    save_file(half, out / "model.safetensors", metadata={"format": "pt"})
    state = {
        "model": {name: value.cpu() for name, value in model.state_dict().items()},
        "optimizers": [optimizer.state_dict() for optimizer in groups],
        "done": done,
    }
    torch.save(state, out / "state.pt")
    print("saved", done, flush=True)


def fold_channels(name: str, weight: torch.Tensor) -> torch.Tensor:
    """Patch weights [D, 3, T, 8, 8] that see a color as its gray level (ITU-R BT.601, as Pillow's "L").

    Training sees gray only, where the channels' weights count by their sum: it is kept, so gray images give the same.
    """
    if not name.endswith("patch_embed.proj.weight"):
        return weight
    gray = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1, 1)
    return weight.sum((1, 2), keepdim=True) * gray / weight.shape[2] * torch.ones_like(weight)


if __name__ == "__main__":
    main()
