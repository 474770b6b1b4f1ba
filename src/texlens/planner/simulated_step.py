"""One training step on the meta device: what it would allocate and compute on a GPU.

Model, adapters and recomputation are the real ones; the batch is described by a few numbers.

# B = rows, L = tokens
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedModel

from texlens.core.labels import IGNORE_INDEX
from texlens.kernels.loss.label_loss import label_loss
from texlens.models.families import Family
from texlens.planner.memory_tracker import MemoryTracker
from texlens.planner.simulated_ops import Autocast, use_simulated_attention

WEIGHTS, TRAINED, VISION, TEXT = "weights", "trained", "vision", "text"
HEAD, BACKWARD, GRADIENTS, INPUTS = "head", "backward", "gradients", "inputs"


@dataclass(frozen=True)
class Batch:
    """Rows of one forward pass, padded to `length`.

    `grids`: for each row, rows and columns of patches of each of its images; `labels`: label tokens of all rows;
    `filled`: tokens without padding, None if there is none.
    """

    rows: int
    length: int
    labels: int
    grids: tuple[tuple[tuple[int, int], ...], ...]
    filled: int | None = None

    @property
    def real_tokens(self) -> int:
        return self.tokens if self.filled is None else self.filled

    @property
    def patches(self) -> int:
        return sum(height * width for grids in self.grids for height, width in grids)

    @property
    def tokens(self) -> int:
        """With padding."""
        return self.rows * self.length


@dataclass(frozen=True)
class SimulatedStep:
    """`peak`: bytes of everything but the optimizer, divided into `parts`; `work`: as in `MemoryTracker`; `logits`:
    bytes of the float32 logits of all tokens."""

    peak: int
    parts: dict[str, int]
    gradients: int
    work: tuple[tuple[int, int], ...]
    logits: int = 0

    @property
    def flops(self) -> int:
        return sum(flops for flops, _ in self.work)


def simulate_step(
    model: nn.Module,
    base: PreTrainedModel,
    family: Family,
    batch: Batch,
    *,
    checkpointing: bool,
    bf16: bool = True,
    accumulation: int = 1,
) -> SimulatedStep:
    """Forward and backward of one batch.

    Args:
        model: what is trained, on the meta device: `base` itself, or `base` inside PEFT's wrapper.
        checkpointing: activations are recomputed, as with `train.compute.gradient_checkpointing`.
        bf16: autocast is on, as it is if the base is in bfloat16.
        accumulation: with more than one batch per step, gradients exist before the backward pass begins.
    """
    use_simulated_attention(base)
    model.train()
    casts = Autocast if bf16 else nullcontext
    if checkpointing:
        recompute = {"use_reentrant": False, "context_fn": lambda: (nullcontext(), casts())}
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs=recompute)
    tracker = MemoryTracker(INPUTS)
    hooks = [*_tag_parts(base, tracker), *_tag_gradients(model, tracker)]
    for tensor in (*model.parameters(), *model.buffers()):
        with tracker.tagged(TRAINED if tensor.requires_grad else WEIGHTS):
            tracker.track(tensor)
    with tracker:
        if accumulation > 1:
            _fill_gradients(model, tracker)
        inputs, labels = make_inputs(base, family, batch), make_labels(batch)
        tracker.tag = TEXT
        with casts():
            outputs = model(**inputs, use_cache=False)
        logits = outputs.logits.float()
        del outputs
        loss, size = label_loss(logits, labels), logits.nbytes
        del logits, labels
        loss.backward()
    for hook in hooks:
        hook.remove()
    gradients = sum(parameter.grad.nbytes for parameter in model.parameters() if parameter.grad is not None)
    return SimulatedStep(tracker.peak, _counted(tracker.peak_parts), gradients, tuple(tracker.work), size)


def _counted(parts: Counter) -> dict[str, int]:
    return {part: size for part, size in parts.items() if size}


def make_inputs(
    base: PreTrainedModel, family: Family, batch: Batch, pixels_on: str = "meta"
) -> dict[str, torch.Tensor]:
    """Token ids and grids are real tensors on the CPU, since shapes depend on them; patches are as from a collator."""
    ids_BL = torch.zeros((batch.rows, batch.length), dtype=torch.long)
    mask_BL = torch.ones_like(ids_BL)
    merge = family.merge_size**2
    for row, grids in enumerate(batch.grids):
        start = 0
        for height, width in grids:
            tokens = height * width // merge
            ids_BL[row, start] = base.config.vision_start_token_id
            ids_BL[row, start + 1 : start + 1 + tokens] = base.config.image_token_id
            start += 1 + tokens
    if batch.rows > 1:
        mask_BL[0, -1] = 0
    channels = 3 * family.temporal_patch_size * patch_size(base) ** 2
    return {
        "input_ids": ids_BL,
        "attention_mask": mask_BL,
        "mm_token_type_ids": (ids_BL == base.config.image_token_id).long(),
        "pixel_values": torch.zeros((batch.patches, channels), dtype=torch.float32, device=pixels_on),
        "image_grid_thw": torch.tensor([(1, height, width) for grids in batch.grids for height, width in grids]),
    }


def patch_size(base: PreTrainedModel) -> int:
    return base.config.vision_config.patch_size


def make_labels(batch: Batch) -> torch.Tensor:
    """Real labels at the end of each row, in all as many as the batch has."""
    labels_BL = torch.full((batch.rows, batch.length), IGNORE_INDEX)
    for row, count in enumerate(_split_evenly(batch.labels, batch.rows)):
        labels_BL[row, batch.length - count :] = 1
    return labels_BL


def _split_evenly(total: int, parts: int) -> Sequence[int]:
    return [total // parts + (part < total % parts) for part in range(parts)]


def _tag_parts(base: PreTrainedModel, tracker: MemoryTracker) -> list:
    """Tags allocations: the vision tower's in its forward pass; the head's until its input has a gradient."""

    def switch(tag: str):
        def to(*_):
            tracker.tag = tag

        return to

    def enter_head(_, inputs):
        tracker.tag = HEAD
        if inputs[0].requires_grad:
            inputs[0].register_hook(switch(BACKWARD))

    visual = base.model.visual
    return [
        visual.register_forward_pre_hook(switch(VISION)),
        visual.register_forward_hook(switch(TEXT)),
        base.lm_head.register_forward_pre_hook(enter_head),
    ]


def _tag_gradients(model: nn.Module, tracker: MemoryTracker) -> list:
    return [
        parameter.register_post_accumulate_grad_hook(lambda owner: tracker.retag(owner.grad, GRADIENTS))
        for parameter in model.parameters()
        if parameter.requires_grad
    ]


def _fill_gradients(model: nn.Module, tracker: MemoryTracker) -> None:
    with tracker.tagged(GRADIENTS):
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.empty_like(parameter)
