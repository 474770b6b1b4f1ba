"""Preferences: packs of good and bad answers, whose log-probabilities are compared.

# A = answers of a pack
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from texlens.data.sample import RejectedRow
from texlens.inference.evaluation_mode import evaluation_mode
from texlens.inputs.dataset import ExampleDataset
from texlens.inputs.pack import Pack
from texlens.kernels.loss.log_probabilities import LabelScores
from texlens.training.backends.packed import PackedBackend
from texlens.training.backends.protocol import Mean, Step
from texlens.training.objectives.answer_packs import ANSWER_OF_LABEL, ANSWERS, AnswerGroup, group_packs
from texlens.training.objectives.losses.kto import divergence_of
from texlens.training.objectives.measurements import Measurements, answer_sums
from texlens.training.objectives.preference_losses import PackScores, PreferenceLoss
from texlens.training.objectives.preference_rows import PreferenceRows
from texlens.training.objectives.start_policy import StartPolicy
from texlens.training.objectives.step import label_scores_of, objective_step

START = "start"
"""Key of a pack: summed log-probabilities of its answers at the start, [A]."""


@dataclass
class PreferenceObjective:
    """
    Args:
        start: of the model before training; None where the loss does not compare with it.
    """

    packed: PackedBackend
    loss: PreferenceLoss
    start: StartPolicy | None
    taken: Measurements = field(default_factory=Measurements)
    validated: Measurements = field(default_factory=Measurements)

    def rows(self, examples: ExampleDataset) -> Dataset:
        return PreferenceRows(examples, unpaired=self.loss.unpaired)

    validation = rows

    def collate(self, items: Sequence[AnswerGroup | RejectedRow]) -> dict:
        """Packs of groups; for KTO also of each prompt with the next group's answers (`other_packs`)."""
        groups = [item for item in items if isinstance(item, AnswerGroup)]
        rejected = [item for item in items if isinstance(item, RejectedRow)]
        packs = group_packs(groups, self.packed.spec, self.packed.max_tokens)
        answers = sum(len(group.answers) for group in groups)
        batch: dict[str, Any] = {"packs": packs, "label_count": answers if self.loss.unpaired else len(groups)}
        if self.loss.unpaired:
            batch["other_packs"] = group_packs(with_next_answers(groups), self.packed.spec, self.packed.max_tokens)
        return batch | ({"rejected": rejected} if rejected else {})

    def train_step(self, model: nn.Module, batch: dict, step: Step) -> Tensor:
        model.train()
        prepared = step.prepare({name: batch[name] for name in ("packs", "other_packs") if name in batch})
        packs, divergence = self._compared(model, prepared, step)

        def pack_loss(pack: Pack, scores: LabelScores) -> Tensor:
            self.taken.add_all("entropy", scores.entropies)
            return self._losses(pack, scores, divergence, self.taken).sum() / step.label_count

        return objective_step(self.packed, packs, step, pack_loss, self.taken)

    def eval_loss(self, model: nn.Module, batch: dict) -> tuple[Tensor, Tensor]:
        packs, divergence = self._compared(model, batch)
        packs, scores = label_scores_of(self.packed, packs)
        losses = [self._losses(*parts, divergence, self.validated).sum() for parts in zip(packs, scores, strict=True)]
        device = next(model.parameters()).device
        total = torch.stack(losses).sum() if losses else torch.zeros((), device=device)
        return total, torch.full((), float(batch["label_count"]), device=device)

    def measurements(self, *, validation: bool = False) -> Mapping[str, Mean]:
        return (self.validated if validation else self.taken).take()

    def close(self) -> None:
        return None

    def _losses(self, pack: Pack, scores: LabelScores, divergence: Tensor | None, measurements: Measurements) -> Tensor:
        policy_A = answer_sums(scores.log_probabilities, pack[ANSWER_OF_LABEL], pack[ANSWERS])
        return self.loss(pack, PackScores(policy_A, pack.get(START), divergence), measurements)

    def _compared(
        self, model: nn.Module, packs: dict, step: Step | None = None
    ) -> tuple[Sequence[Pack], Tensor | None]:
        """The packs with their answers' scores at the start, and KTO's z, where the loss uses them."""
        if self.start is None:
            return packs["packs"], None
        others = packs.get("other_packs", [])
        with self.start.active():
            compared, start = self._sums(packs["packs"])
            others, start_of_others = self._sums(others)
        divergence = None
        if self.loss.unpaired:
            with evaluation_mode(model), torch.no_grad():
                _, now = self._sums(others)
            divergence = self._divergence(model, now, start_of_others, step)
        return [pack | {START: start_A} for pack, start_A in zip(compared, start, strict=True)], divergence

    def _sums(self, packs: Sequence[Pack]) -> tuple[Sequence[Pack], list[Tensor]]:
        """The packs as they were scored, and log-probabilities of their answers."""
        packs, scores = label_scores_of(self.packed, packs)
        return packs, [
            answer_sums(score.log_probabilities, pack[ANSWER_OF_LABEL], pack[ANSWERS])
            for score, pack in zip(scores, packs, strict=True)
        ]

    def _divergence(
        self, model: nn.Module, now: Sequence[Tensor], start: Sequence[Tensor], step: Step | None
    ) -> Tensor:
        """KTO's z: the mean over all processes' answers, at least 0."""
        sums = torch.zeros(2, device=next(model.parameters()).device)
        if now:
            now_N, start_N = torch.cat(tuple(now)), torch.cat(tuple(start))  # cut into packs in two ways, perhaps
            sums += torch.stack([divergence_of(now_N, start_N), sums.new_tensor(float(len(now_N)))])
        if step is not None:
            step.context.all_reduce(sums)
        return (sums[0] / sums[1].clamp(min=1)).clamp(min=0)


def with_next_answers(groups: Sequence[AnswerGroup]) -> list[AnswerGroup]:
    """Each group's prompt with the answers of the group after it, the last one's with those of the first."""
    return [
        AnswerGroup(group.prompt, groups[(number + 1) % len(groups)].answers) for number, group in enumerate(groups)
    ]
