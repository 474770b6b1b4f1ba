"""One training step of a whole model on the meta device, and what it would have held and done on a GPU.

The model, its adapters and its recomputation are the real ones; only the batch is made of a few numbers.

# B = rows, L = tokens
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedModel

from texlens.kernels.loss.label_loss import label_loss
from texlens.models.families import Family
from texlens.planner.meter import Meter
from texlens.planner.simulated_ops import Autocast, use_planned_attention

WEIGHTS, TRAINED, VISION, TEXT = "weights", "trained", "vision", "text"
HEAD, BACKWARD, GRADIENTS, INPUTS = "head", "backward", "gradients", "inputs"


@dataclass(frozen=True)
class Batch:
    """Rows that go through the model together: `length` is the longest row's, to which all are padded.

    `grids` holds, for each row, rows and columns of patches of each of its images; `labels` counts the label tokens of
    all rows; `filled` the tokens without padding, None where there is none.
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
        return sum(high * wide for grids in self.grids for high, wide in grids)

    @property
    def tokens(self) -> int:
        """With padding."""
        return self.rows * self.length


@dataclass(frozen=True)
class Step:
    """`peak` is in bytes, weights and all but the optimizer; `parts` says what held them. `work` as in `Meter`;
    `logits` are the bytes of the float32 logits of all tokens."""

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
) -> Step:
    """Forward and backward of one batch.

    Args:
        model: what is trained, on the meta device: `base` itself, or `base` inside PEFT's wrapper.
        checkpointing: activations are recomputed, as `train.gradient_checkpointing` has it.
        bf16: autocast is on, as it is wherever the base is in bfloat16.
        accumulation: with more than one batch a step, gradients are there before the backward pass begins.
    """
    use_planned_attention(base)
    model.train()
    casts = Autocast if bf16 else nullcontext
    if checkpointing:
        recompute = {"use_reentrant": False, "context_fn": lambda: (nullcontext(), casts())}
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs=recompute)
    meter = Meter(INPUTS)
    hooks = [*_tag_parts(base, meter), *_tag_gradients(model, meter)]
    for tensor in (*model.parameters(), *model.buffers()):
        with meter.tagged(TRAINED if tensor.requires_grad else WEIGHTS):
            meter.hold(tensor)
    with meter:
        if accumulation > 1:
            _fill_gradients(model, meter)
        inputs, labels = make_inputs(base, family, batch), make_labels(batch)
        meter.tag = TEXT
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
    return Step(meter.peak, _counted(meter.peak_parts), gradients, tuple(meter.work), size)


def _counted(parts: Counter) -> dict[str, int]:
    return {part: size for part, size in parts.items() if size}


def make_inputs(
    base: PreTrainedModel, family: Family, batch: Batch, pixels_on: str = "meta"
) -> dict[str, torch.Tensor]:
    """Token ids and grids are real and on the CPU, since shapes hang on them; patches are as a collator makes them."""
    ids_BL = torch.zeros((batch.rows, batch.length), dtype=torch.long)
    mask_BL = torch.ones_like(ids_BL)
    merge = family.merge_size**2
    for row, grids in enumerate(batch.grids):
        at = 0
        for high, wide in grids:
            tokens = high * wide // merge
            ids_BL[row, at] = base.config.vision_start_token_id
            ids_BL[row, at + 1 : at + 1 + tokens] = base.config.image_token_id
            at += 1 + tokens
    if batch.rows > 1:
        mask_BL[0, -1] = 0
    channels = 3 * family.temporal_patch_size * patch_size(base) ** 2
    return {
        "input_ids": ids_BL,
        "attention_mask": mask_BL,
        "mm_token_type_ids": (ids_BL == base.config.image_token_id).long(),
        "pixel_values": torch.zeros((batch.patches, channels), dtype=torch.float32, device=pixels_on),
        "image_grid_thw": torch.tensor([(1, high, wide) for grids in batch.grids for high, wide in grids]),
    }


def patch_size(base: PreTrainedModel) -> int:
    return base.config.vision_config.patch_size


def make_labels(batch: Batch) -> torch.Tensor:
    """Real labels at the end of each row, in all as many as the batch has."""
    labels_BL = torch.full((batch.rows, batch.length), -100)
    for row, count in enumerate(_shares(batch.labels, batch.rows)):
        labels_BL[row, batch.length - count :] = 1
    return labels_BL


def _shares(total: int, parts: int) -> Sequence[int]:
    return [total // parts + (part < total % parts) for part in range(parts)]


def _tag_parts(base: PreTrainedModel, meter: Meter) -> list:
    """The vision tower has what it allocates in the forward pass; the head, all until its input has its gradient."""

    def switch(tag: str):
        def to(*_):
            meter.tag = tag

        return to

    def enter_head(_, inputs):
        meter.tag = HEAD
        if inputs[0].requires_grad:
            inputs[0].register_hook(switch(BACKWARD))

    visual = base.model.visual
    return [
        visual.register_forward_pre_hook(switch(VISION)),
        visual.register_forward_hook(switch(TEXT)),
        base.lm_head.register_forward_pre_hook(enter_head),
    ]


def _tag_gradients(model: nn.Module, meter: Meter) -> list:
    return [
        parameter.register_post_accumulate_grad_hook(lambda owner: meter.retag(owner.grad, GRADIENTS))
        for parameter in model.parameters()
        if parameter.requires_grad
    ]


def _fill_gradients(model: nn.Module, meter: Meter) -> None:
    with meter.tagged(GRADIENTS):
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.empty_like(parameter)
