"""Several answers to each prompt, drawn by a model in the state that it is in, such as in training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from texlens.inference.adapter_switch import UNCHANGED, AdapterSwitch
from texlens.inference.decoders import decode
from texlens.inference.decoding.continuous_batch import ContinuousBatch
from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.engine.engine_batch import EngineBatch, normalized_prompt, open_engine
from texlens.inference.engine.plan import EnginePlan
from texlens.inference.evaluation_mode import evaluation_mode
from texlens.inputs.example import Example
from texlens.models.processor import Processor

ROWS_AT_A_TIME = 64
"""Of the reference, which decodes a fixed batch."""


@dataclass(eq=False)
class DrawnAnswer:
    """`prompt` and `number` say whose answer it is, the how manieth."""

    prompt: int
    number: int
    state: GenerationState


OnDrawn = Callable[[DrawnAnswer], None]


class AnswerSampler:
    """Keeps the decoding engine, and its cache, between calls; `close` gives them back.

    Args:
        plan: of the engine; None takes what memory is free.
        use_engine: None uses it beside a GPU.
    """

    def __init__(
        self,
        model: Any,
        processor: Processor,
        sampling: Sampling,
        *,
        plan: EnginePlan | None = None,
        use_engine: bool | None = None,
    ):
        self._model, self._processor, self._sampling, self._plan = model, processor, sampling, plan
        self._switch = AdapterSwitch(model)
        self._use_engine = next(model.parameters()).is_cuda if use_engine is None else use_engine
        self._engine: EngineBatch | None = None

    def draw(
        self, prompts: Sequence[Example], seeds: Sequence[Sequence[int]], on_drawn: OnDrawn = lambda answer: None
    ) -> list[list[GenerationState]]:
        """For each prompt as many answers as it has seeds. An answer depends on its seed, its prompt and the weights.

        Args:
            prompts: with raw patches (uint8).
            on_drawn: called with each answer once it is complete.
        """
        states = [[GenerationState(self._sampling, UNCHANGED, seed) for seed in group] for group in seeds]
        answers = [
            DrawnAnswer(prompt, number, state)
            for prompt, group in enumerate(states)
            for number, state in enumerate(group)
        ]
        with evaluation_mode(self._model), torch.no_grad():
            engine = self._opened()
            if engine is None:
                self._by_reference(prompts, answers, on_drawn)
            else:
                _by_engine(engine, prompts, answers, on_drawn)
        return states

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
        self._engine = None

    def _opened(self) -> EngineBatch | None:
        """The engine with the weights as they are now; None where it can't run this model."""
        if not self._use_engine:
            return None
        if self._engine is not None:
            self._engine.engine.refresh()
            return self._engine
        self._engine = open_engine(self._switch, self._processor, [UNCHANGED], self._plan)
        self._use_engine = self._engine is not None
        return self._engine

    def _by_reference(self, prompts: Sequence[Example], answers: Sequence[DrawnAnswer], on_drawn: OnDrawn) -> None:
        normalized = [normalized_prompt(prompt, self._processor) for prompt in prompts]
        for start in range(0, len(answers), ROWS_AT_A_TIME):
            part = answers[start : start + ROWS_AT_A_TIME]
            batch = ContinuousBatch(self._switch, self._processor)
            decode(batch, [normalized[answer.prompt] for answer in part], [answer.state for answer in part])
            for answer in part:
                on_drawn(answer)


def _by_engine(
    engine: EngineBatch, prompts: Sequence[Example], answers: Sequence[DrawnAnswer], on_drawn: OnDrawn
) -> None:
    engine.prefill([prompts[answer.prompt] for answer in answers], [answer.state for answer in answers])
    waiting = list(answers)
    while waiting:
        engine.step()
        for answer in waiting:
            if not answer.state.is_active:
                on_drawn(answer)
        waiting = [answer for answer in waiting if answer.state.is_active]
