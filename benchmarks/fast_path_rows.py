"""What every arm of the fast-path benchmarks shares: the rows, the random model and the arithmetic of a step.

Rows have 60-300 image tokens and 30-200 answer tokens, 286 tokens on average, drawn from one seed: the first
hundred are the same for every caller. Work is counted by 4 x linear parameters x tokens + 6 x adapter parameters x
tokens + 4 x head x label tokens + 2 x vision parameters x patches, of real tokens alone.
"""

import dataclasses
import math
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from texlens.core.labels import IGNORE_INDEX
from texlens.inputs.example import Example
from texlens.inputs.pack import PackSpec, build_pack
from texlens.models.bundled import bundled_config
from texlens.models.families import family_of
from texlens.models.load import random_model
from texlens.models.meta_model import meta_model
from texlens.models.packed.forward import pack_spec

IMAGE, PAD, START, END = 151655, 151643, 151652, 151653
RANK = 16
PACK_TOKENS = 16_384
"""At most, of a pack of `packs_of`."""
GIB = 2**30


def drawn_lengths(count: int) -> list[tuple[int, int, int]]:
    """Rows and columns of patches, and answer tokens before the last, of the first `count` rows."""
    numbers, drawn = random.Random(7), []
    for _ in range(count):
        image = min(300, max(60, int(numbers.lognormvariate(math.log(150), 0.45))))
        height = numbers.choice([4, 6, 8, 10])
        width = max(4, 2 * round(image * 4 / height / 2))
        answer = min(200, max(30, int(numbers.lognormvariate(math.log(90), 0.5))))
        drawn.append((height, width, answer))
    return drawn


def made_examples(count: int, patch: int) -> list[Example]:
    """The first `count` rows; tokens and pixels at random."""
    numbers, examples = np.random.default_rng(3), []
    for number, (height, width, answer) in enumerate(drawn_lengths(count)):
        text = lambda size: numbers.integers(20, 500, size).tolist()  # noqa: E731
        prompt = [1, *text(10), START, *[IMAGE] * (height * width // 4), END, *text(12)]
        answer_ids = [*text(answer), 2]
        pixels = numbers.integers(0, 256, (height * width, 3 * patch * patch), dtype=np.uint8)
        labels = [IGNORE_INDEX] * len(prompt) + answer_ids
        examples.append(Example([*prompt, *answer_ids], labels, (1, height, width), str(number), pixels))
    return examples


def settings_of(model: str, tiny: bool) -> dict:
    """The checkpoint's config.json as shipped, with the rows' image tokens; `tiny` keeps its family and makes it small
    enough for a CPU."""
    shipped = bundled_config(f"Qwen/{model}")
    if shipped is None:
        raise SystemExit(f"--model {model}: no config of this name ships with the project")
    shipped = {**shipped, "image_token_id": IMAGE, "vision_start_token_id": START, "vision_end_token_id": END}
    if not tiny:
        return shipped
    return tiny_settings(shipped)


def tiny_settings(shipped: dict) -> dict:
    """The same family with two narrow layers in text and tower, and the whole vocabulary."""
    text = dict(shipped.get("text_config", shipped))
    text |= {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 96}
    text |= {"num_attention_heads": 4, "num_key_value_heads": 2}
    sections = [6, 5, 5] if "head_dim" in text else [2, 3, 3]
    text |= {"head_dim": 32} if "head_dim" in text else {}
    if "layer_types" in text:
        text |= {"layer_types": ["linear_attention", "full_attention"]}
        text |= {"linear_num_key_heads": 2, "linear_num_value_heads": 16}
        text |= {"linear_key_head_dim": 16, "linear_value_head_dim": 16}
        text["rope_parameters"] = {**text["rope_parameters"], "mrope_section": [2, 1, 1]}
    else:
        text["rope_scaling"] = {**text["rope_scaling"], "mrope_section": sections}
    vision = {**shipped["vision_config"], "depth": 2, "num_heads": 2}
    if "embed_dim" in vision:
        vision |= {"embed_dim": 32, "hidden_size": 64}
    else:
        vision |= {"hidden_size": 32, "out_hidden_size": 64, "intermediate_size": 48}
    vision |= {"deepstack_visual_indexes": [0]} if vision.get("deepstack_visual_indexes") else {}
    vision |= {"fullatt_block_indexes": [1]} if "fullatt_block_indexes" in vision else {}
    whole = {**shipped, "text_config": text} if "text_config" in shipped else text
    return {**whole, "vision_config": vision}


def base_model(settings: dict, device: torch.device):
    """The same random weights in every process: bf16 on a GPU, float32 on a CPU."""
    torch.manual_seed(0)
    with torch.device(device):
        return random_model(settings, dtype=torch.float32 if device.type == "cpu" else torch.bfloat16)


def spec_of(config, geometry, family, *, image: int = IMAGE, pad: int = PAD, padded: bool = True) -> PackSpec:
    """As of a checkpoint with these token ids."""
    taken = SimpleNamespace(geometry=geometry, family=family, image_token_id=image, pad_token_id=pad)
    return pack_spec(config, taken, padded=padded)


def packs_of(examples: Sequence[Example], spec: PackSpec, device: torch.device) -> list[dict]:
    """On the device, filled one after the other in the order of the examples."""
    groups, tokens = [[]], 0
    for example in examples:
        if tokens + len(example) > PACK_TOKENS:
            groups.append([])
            tokens = 0
        groups[-1].append(example)
        tokens += len(example)
    packs = [build_pack(group, spec) for group in groups]
    return [
        {key: value.to(device) if torch.is_tensor(value) else value for key, value in pack.items()} for pack in packs
    ]


def step(forward, packs: Sequence[dict], adapted, optimizer) -> None:
    """Forward and backward over the packs, clipping, and the optimizer's update where there is one."""
    labels = sum(pack["label_count"] for pack in packs)
    for number, pack in enumerate(packs):
        (forward.loss(pack, adapters_unchanged=number > 0) / labels).backward()
    trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    if optimizer is not None:
        optimizer.step()
    adapted.zero_grad(set_to_none=True)


def text_projections(settings: dict) -> str:
    """The pattern of the seven linear layers of each decoder layer."""
    groups = family_of(settings).groups
    return f"{groups['text-attention']}|{groups['text-mlp']}"


@dataclasses.dataclass(frozen=True)
class Work:
    """Operations of a training step with a frozen base, each by what it grows with."""

    per_token: int
    per_label: int
    per_patch: int

    def flops(self, tokens: int, labels: int, patches: int) -> int:
        return self.per_token * tokens + self.per_label * labels + self.per_patch * patches


def work_of(settings: dict, rank: int = RANK) -> Work:
    """Counted on a model without weights, so that a base in 8 or 4 bits counts as what it computes."""
    model = meta_model(settings)
    text, vision = model.model.language_model, model.model.visual
    linear = [layer.weight for layer in text.layers.modules() if isinstance(layer, torch.nn.Linear)]
    adapters = sum(rank * sum(weight.shape) for weight in linear)
    seeing = sum(parameter.numel() for parameter in vision.blocks.parameters())
    return Work(
        per_token=4 * sum(weight.numel() for weight in linear) + 6 * adapters,
        per_label=4 * model.lm_head.weight.numel(),
        per_patch=2 * seeing,
    )


def matrix_rate(device: torch.device, tiny: bool) -> float:
    """TFLOP/s of a large product of random numbers in bf16."""
    side = 256 if tiny or device.type == "cpu" else 8192
    left, right = (torch.randn(side, side, device=device).bfloat16() for _ in range(2))
    for _ in range(3):
        left @ right
    synchronize(device)
    began = time.perf_counter()
    for _ in range(20):
        left @ right
    synchronize(device)
    return 20 * 2 * side**3 / (time.perf_counter() - began) / 1e12


def gate(word: str, gated: bool) -> None:
    """Says on the standard output how far this process is, and waits there for a line (`side_by_side.py`)."""
    if gated:
        print(f"@{word}", flush=True)
        sys.stdin.readline()


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
