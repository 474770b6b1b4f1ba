"""Groups of answers on a tiny model, and a step without a trainer."""

from dataclasses import replace

import torch
from torch import Tensor

from tests.unit.models.packed.packs import examples
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.inputs.padded_collator import Collator
from texlens.models.packed.forward import pack_spec, packed_forward
from texlens.training.backends.packed import PackedBackend
from texlens.training.backends.protocol import Step
from texlens.training.backends.smaller_packs import SmallerPacks
from texlens.training.distributed.context import SINGLE_PROCESS
from texlens.training.nan_guard import NanGuard
from texlens.training.objectives.answer_packs import AnswerGroup, split_answer_pack, with_answer, without_answer

ANSWERS = (((60, 61, 3), (62, 3)), ((63, 64, 65, 3), (61, 61, 61, 3)))


def groups(processor, answers=ANSWERS, **values) -> list[AnswerGroup]:
    raw = examples(processor, patchify=image_to_raw_patches)
    prompts = [without_answer(example, example.answer_tokens) for example in raw]
    return [
        AnswerGroup(prompt, group, {name: part[number] for name, part in values.items()})
        for number, (prompt, group) in enumerate(zip(prompts, answers, strict=False))
    ]


def stock_logs(model, processor, answers=ANSWERS) -> list[list[Tensor]]:
    """Log-probabilities of each answer's tokens by the stock model, one row at a time."""
    results = []
    for example, group in zip(examples(processor), answers, strict=False):
        prompt = without_answer(example, example.answer_tokens)
        results.append([_logs(model, processor, with_answer(prompt, answer)) for answer in group])
    return results


def _logs(model, processor, example) -> Tensor:
    batch = Collator(processor.pad_token_id, processor.image_token_id)([example])
    labels = batch.pop("labels")[0]
    logs = model(**batch).logits[0].log_softmax(-1)
    at = torch.nonzero(labels != -100)[:, 0]
    return logs[at - 1, labels[at]]


def backend(model, processor, tokens=4096) -> PackedBackend:
    stock = model.get_base_model() if hasattr(model, "get_base_model") else model
    return PackedBackend(packed_forward(stock, processor.geometry), pack_spec(stock.config, processor), tokens, 2)


def step_of(model, label_count, **changes) -> Step:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    step = Step(
        number=1,
        label_count=label_count,
        parameters=parameters,
        context=SINGLE_PROCESS,
        guard=NanGuard(),
        balance=None,
        optimizer=torch.optim.SGD(parameters, lr=0.1),
        prepare=lambda batch: batch,
        backward=Tensor.backward,
        stock=lambda: torch.zeros(()),
    )
    return replace(step, **changes)


def gradients_of(model) -> dict[str, Tensor]:
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def perturb(model, seed=1) -> None:
    """Moves the trained weights away from the start."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))


class TooLarge:
    """A forward pass in which packs of more than `tokens` don't fit, `scores_fit` unless gradients are asked for."""

    def __init__(self, forward, tokens: int, scores_fit: bool):
        self._forward, self.tokens, self.scores_fit = forward, tokens, scores_fit

    def label_scores(self, pack, **options):
        scores = self._forward.label_scores(pack, **options)
        if pack["tokens"] > self.tokens and (torch.is_grad_enabled() or not self.scores_fit):
            raise torch.OutOfMemoryError("no room")
        return scores


def failing_backend(model, processor, tokens: int, lines: list[str], *, scores_fit: bool = True) -> PackedBackend:
    """One in which packs of more than `tokens` are run again as smaller ones."""
    packed = backend(model, processor)
    retry = SmallerPacks(4, split=split_answer_pack, warn=lines.append, clear=model.zero_grad)
    return replace(packed, forward=TooLarge(packed.forward, tokens, scores_fit), retry=retry)
