"""Rollouts: the answers that the model draws to the prompts of a step, with their rewards.

# G = groups (prompts), K = answers of a group
"""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import torch
from torch import Tensor

from texlens.data.load import Rows
from texlens.data.sample import Sample
from texlens.inference.backends.transformers import decoded_prediction, row_seed
from texlens.inference.bulk.answer_sampler import AnswerSampler, DrawnAnswer
from texlens.inference.decoding.generation_state import GenerationState
from texlens.metrics.prediction import Prediction
from texlens.models.processor import Processor
from texlens.rewards.score import RewardScorer, ScoredAnswer
from texlens.training.objectives.rollout_rows import RolloutPrompt


@dataclass(frozen=True)
class Rollout:
    """One prompt's answers, each with its tokens, their log-probabilities as drawn, its text and its score."""

    prompt: RolloutPrompt
    sample: Sample
    states: Sequence[GenerationState]
    predictions: Sequence[Prediction]
    scores: Sequence[ScoredAnswer]


def rewards_of(rollouts: Sequence[Rollout]) -> Tensor:
    """Weighted rewards, float32 [G, K]."""
    return torch.tensor([[score.total for score in rollout.scores] for rollout in rollouts], dtype=torch.float32)


@dataclass
class RolloutMaker:
    """
    Args:
        seed: of the run; an answer's own seed follows from it, the step, the row's id and the answer's number, so that
            a resumed run draws what the run without a stop would have drawn.
    """

    sampler: AnswerSampler
    scorer: RewardScorer
    processor: Processor
    rows: Rows
    answers: int
    seed: int

    def __call__(self, prompts: Sequence[RolloutPrompt], step: int) -> list[Rollout]:
        """Equal answers of a group are scored once: most groups of a trained reader have few different ones.

        Raises:
            RunError: a reward failed.
        """
        samples = [self.rows[prompt.row] for prompt in prompts]
        scored: dict[tuple[int, int], tuple[Prediction, Future[list[ScoredAnswer]]]] = {}
        known: dict[tuple[int, str, str | None], Future[list[ScoredAnswer]]] = {}

        def submit(answer: DrawnAnswer) -> None:
            prediction = decoded_prediction(self.processor, samples[answer.prompt], answer.state)
            key = answer.prompt, prediction.text, prediction.stop
            if key not in known:
                known[key] = self.scorer.submit([prediction])
            scored[answer.prompt, answer.number] = prediction, known[key]

        seeds = [self._seeds(sample.id, step) for sample in samples]
        states = self.sampler.draw([prompt.example for prompt in prompts], seeds, submit)
        rollouts = []
        for group, (prompt, sample) in enumerate(zip(prompts, samples, strict=True)):
            pairs = [scored[group, number] for number in range(self.answers)]
            scores = self.scorer.collect([future for _, future in pairs])
            rollouts.append(Rollout(prompt, sample, states[group], [prediction for prediction, _ in pairs], scores))
        return rollouts

    def close(self) -> None:
        """Gives back the engine's cache, and ends the processes that compute rewards."""
        self.sampler.close()
        self.scorer.close()

    def _seeds(self, row: str, step: int) -> list[int]:
        return [row_seed(self.seed, f"{row} step {step} answer {number}") for number in range(self.answers)]
