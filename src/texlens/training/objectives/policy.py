"""GRPO: the answers of a step are drawn, rewarded, compared within their groups and trained on, in one process.

# G = groups, K = answers of a group, A = answers of a pack, L = labels
"""

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from texlens.data.sample import RejectedRow
from texlens.inputs.dataset import ExampleDataset
from texlens.inputs.pack import Pack
from texlens.kernels.loss.log_probabilities import LabelScores
from texlens.training.backends.packed import PackedBackend
from texlens.training.backends.protocol import Mean, Step
from texlens.training.objectives.advantages import advantages, deviation_of, has_spread, sums_of
from texlens.training.objectives.answer_packs import (
    ANSWER_OF_LABEL,
    AnswerGroup,
    group_packs,
    split_group,
)
from texlens.training.objectives.losses.policy import Clip, policy_loss, token_weights, weight_total
from texlens.training.objectives.measurements import Measurements
from texlens.training.objectives.rollout_log import RolloutLog
from texlens.training.objectives.rollout_rows import RolloutPrompt, RolloutRows
from texlens.training.objectives.rollouts import Rollout, RolloutMaker, rewards_of
from texlens.training.objectives.start_policy import StartPolicy
from texlens.training.objectives.step import label_scores_of, objective_step

ADVANTAGE, DRAWN = "advantage", "drawn"
OLD, START = "old", "start"
"""Keys of a pack: log-probabilities [L] before the step's updates, and of the model before training."""


@dataclass(frozen=True)
class PolicyOptions:
    """See `config.objective.GrpoObjective`; `limit` is its max_new_tokens, `max_grad_norm` the optimizer's."""

    temperature: float
    advantage: str
    ratio: str
    clip: Clip
    normalize: str
    kl: float
    updates: int
    skip_flat: bool
    limit: int
    max_grad_norm: float


@dataclass
class PolicyObjective:
    """
    Args:
        start: of the model before training, from which the divergence is measured.
        log: of rollouts to look at.
    """

    packed: PackedBackend
    options: PolicyOptions
    maker: RolloutMaker
    start: StartPolicy
    log: RolloutLog
    taken: Measurements = field(default_factory=Measurements)
    _ended: float | None = None

    def rows(self, examples: ExampleDataset) -> Dataset:
        return RolloutRows(examples)

    def validation(self, examples: ExampleDataset) -> Dataset:
        """The likelihood of the rows' texts; scores come from `train.validation.generation_rows`."""
        return examples

    def collate(self, items: Sequence[RolloutPrompt | RejectedRow]) -> dict:
        prompts = [item for item in items if isinstance(item, RolloutPrompt)]
        rejected = [item for item in items if isinstance(item, RejectedRow)]
        return {"prompts": prompts, "label_count": len(prompts)} | ({"rejected": rejected} if rejected else {})

    def train_step(self, model: nn.Module, batch: dict, step: Step) -> Tensor:
        began = time.monotonic()
        rollouts = self.maker(batch["prompts"], step.number)
        read = time.monotonic()
        groups = self._groups(rollouts, step)
        loss = self._updates(model, groups, step)
        self._measure_time(began, read)
        return loss

    def eval_loss(self, model: nn.Module, batch: dict) -> tuple[Tensor, Tensor]:
        return self.packed.eval_loss(model, batch)

    def measurements(self, *, validation: bool = False) -> Mapping[str, Mean]:
        return {} if validation else self.taken.take()

    def close(self) -> None:
        self.maker.close()

    # Advantages

    def _groups(self, rollouts: Sequence[Rollout], step: Step) -> list[AnswerGroup]:
        """Groups with their advantages; those without spread are left out, and counted."""
        rewards_GK = rewards_of(rollouts) if rollouts else torch.zeros(0, self.maker.answers)
        count, total, squares = torch.stack(step.context.all_gather(sums_of(rewards_GK))).sum(0).tolist()
        deviation = deviation_of(count, total, squares) if self.options.advantage == "batch" else None
        advantages_GK = advantages(rewards_GK, self.options.advantage, deviation)
        spread_G = has_spread(rewards_GK) if rollouts else torch.zeros(0, dtype=torch.bool)
        self.log.write(step.number, rollouts, advantages_GK.tolist())
        self._measure_rollouts(rollouts, rewards_GK, spread_G)
        return [
            _group(rollout, values, self.maker.processor.image_token_id)
            for rollout, values, has_any in zip(rollouts, advantages_GK.tolist(), spread_G.tolist(), strict=True)
            if has_any or not self.options.skip_flat
        ]

    # Updates

    def _updates(self, model: nn.Module, groups: Sequence[AnswerGroup], step: Step) -> Tensor:
        """All but the last update are taken here; the last one's gradients are left to the trainer."""
        count = min(self.options.updates, max(step.context.all_gather(len(groups))))
        device = next(model.parameters()).device
        if not count:
            return torch.zeros((), device=device)
        parts = [self._packs(groups[number::count], step) for number in range(count)]
        parts = self._with_start(parts, step.number)
        model.eval()
        parts[1:] = [self._scored(packs, OLD) for packs in parts[1:]]
        losses = []
        for number, packs in enumerate(parts):
            model.train()
            losses.append(self._update(packs, step))
            if number < count - 1:
                _take_step(step, self.options.max_grad_norm)
        return torch.stack(losses).mean()

    @property
    def _heat(self) -> float:
        return self.options.temperature

    def _packs(self, groups: Sequence[AnswerGroup], step: Step) -> list[Pack]:
        budget = self.packed.max_tokens
        parts = [part for group in groups for part in split_group(group, budget)]
        return step.prepare({"packs": group_packs(parts, self.packed.spec, budget)})["packs"]

    def _with_start(self, parts: Sequence[list[Pack]], step: int) -> list[list[Pack]]:
        """The packs of each update with log-probabilities at the start: all of them where the loss uses them, else the
        first pack of a step that is logged, whose divergence stands for the step's."""
        if self.options.kl:
            with self.start.active():
                return [self._scored(packs, START) for packs in parts]
        if not self.log.is_due(step):
            return list(parts)
        first, *others = parts
        with self.start.active():
            return [[*self._scored(first[:1], START), *first[1:]], *others]

    def _scored(self, packs: Sequence[Pack], name: str) -> list[Pack]:
        """The packs with log-probabilities [L] by the weights as they are."""
        packs, scores = label_scores_of(self.packed, packs, self._heat)
        return [pack | {name: score.log_probabilities} for pack, score in zip(packs, scores, strict=True)]

    def _update(self, packs: Sequence[Pack], step: Step) -> Tensor:
        options = self.options
        counts = step.context.all_gather(
            (sum(pack["label_count"] for pack in packs), sum(pack["answers"] for pack in packs))
        )
        total = weight_total(sum(count[0] for count in counts), sum(count[1] for count in counts), options.normalize)

        def pack_loss(pack: Pack, scores: LabelScores) -> Tensor:
            policy_L, start_L = scores.log_probabilities, pack.get(START)
            old_L = pack.get(OLD, policy_L.detach())
            answers_L = pack[ANSWER_OF_LABEL]
            outcome = policy_loss(
                policy_L,
                old_L,
                pack[ADVANTAGE],
                answers_L,
                ratio=options.ratio,
                clip=options.clip,
                kl=options.kl,
                start_L=start_L,
            )
            weights_L = token_weights(
                pack["answer_tokens"], answers_L, normalize=options.normalize, limit=options.limit
            )
            self._measure_tokens(pack, scores, outcome, start_L is not None, OLD not in pack)
            return (outcome.loss * weights_L).sum() / total

        return objective_step(self.packed, packs, step, pack_loss, self.taken, temperature=options.temperature)

    # Measurements

    def _measure_rollouts(self, rollouts: Sequence[Rollout], rewards_GK: Tensor, spread_G: Tensor) -> None:
        taken = self.taken
        taken.add_all("reward", rewards_GK)
        taken.add_all("reward_spread", rewards_GK.std(1))
        taken.add_all("flat_groups", ~spread_G)
        scores = [score for rollout in rollouts for score in rollout.scores]
        for name in self.maker.scorer.spec.all_weights:
            taken.add_all(f"score_{name}", torch.tensor([score.values[name] for score in scores]))
        predictions = [prediction for rollout in rollouts for prediction in rollout.predictions]
        taken.add_all("answer_tokens", torch.tensor([float(prediction.tokens) for prediction in predictions]))
        taken.add_all(
            "cut_answers", torch.tensor([prediction.stop in ("length", "loop") for prediction in predictions])
        )

    def _measure_tokens(self, pack: Pack, scores: LabelScores, outcome, has_start: bool, is_first: bool) -> None:
        self.taken.add_all("entropy", scores.entropies)
        self.taken.add_all("clip_share", outcome.is_clipped)
        if has_start:
            self.taken.add_all("kl", outcome.divergence)
        if is_first and self._heat == 1.0:
            self.taken.add_all("drawn_gap", (scores.log_probabilities.detach() - pack[DRAWN]).abs())

    def _measure_time(self, began: float, read: float) -> None:
        """Seconds of reading with its rewards, and of all since the step before; per step."""
        now = time.monotonic()
        self.taken.add("reading_s", read - began)
        self.taken.add("step_s", now - (self._ended if self._ended is not None else began))
        self._ended = now


def _group(rollout: Rollout, values: Sequence[float], image_token_id: int) -> AnswerGroup:
    """The answers with their advantages and their log-probabilities as drawn, each up to its first image token, which
    has no place in a text; those of which nothing is left are left out."""
    parts = []
    for state, value in zip(rollout.states, values, strict=True):
        tokens = tuple(itertools.takewhile(lambda token: token != image_token_id, state.tokens))
        if tokens:
            parts.append((tokens, tuple(state.log_probabilities[: len(tokens)]), value))
    answers, drawn, advantage = zip(*parts, strict=True) if parts else ((), (), ())
    return AnswerGroup(rollout.prompt.example, answers, {ADVANTAGE: advantage}, {DRAWN: drawn})


def _take_step(step: Step, max_grad_norm: float) -> None:
    torch.nn.utils.clip_grad_norm_(step.parameters, max_grad_norm)
    step.optimizer.step()
    step.optimizer.zero_grad(set_to_none=True)
