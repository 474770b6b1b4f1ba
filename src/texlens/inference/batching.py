"""The engine behind the server: one thread with the model, questions that join and leave its batches as they like.

Rows of one adapter make a batch; a model of several adapters takes turns, one token each.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from texlens.core.errors import ModelError
from texlens.data.sample import LazyImage, Sample
from texlens.inference.decode import Decoded, LiveBatch
from texlens.inference.detokenize import TextStream, TokenPieces
from texlens.inference.generate import end_ids, model_inputs, prompt_of
from texlens.inference.job import Job, QueueFullError, Spoken, StoppingError
from texlens.inference.open import ServedModel, open_models, use_adapter
from texlens.inference.sampling import Sampling
from texlens.inputs.chat_template import PromptStyle

LONGEST_JOIN = 16
"""Rows read into a running batch at once, so that those under way don't wait long for their next token."""

MOST_WAITING_BYTES = 4 * 2**30
"""Images in the queue, as patches; beyond that it is full, however few they are."""


@dataclass
class Counts:
    """What the engine has done since it began, for /metrics."""

    steps: int = 0
    tokens: int = 0
    rows_in_steps: int = 0
    joins: int = 0


@dataclass
class _Group:
    batch: LiveBatch
    jobs: list[Job] = field(default_factory=list)
    waiting: deque[Job] = field(default_factory=deque)


class Engine:
    """Answers questions about images with any of `models` (all on one base), many at a time.

    A context manager: at its end the engine answers what it has begun and stops.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        models: Mapping[str, ServedModel],
        *,
        slots: int = 32,
        max_waiting: int = 256,
    ):
        self.models = dict(models)
        self.slots = slots
        self.max_waiting = max_waiting
        self.counts = Counts()
        self._model = model.eval()
        self._device = next(model.parameters()).device
        self._groups = {name: _Group(LiveBatch(model, end_ids(one.processor))) for name, one in self.models.items()}
        self._pieces = {name: TokenPieces(one.processor.tokenizer) for name, one in self.models.items()}
        self._wake = threading.Condition()
        self._stopping = False
        self._adapter = self.served(None).adapter
        use_adapter(model, self._adapter)
        self._thread = threading.Thread(target=self._run, name="texlens-engine", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def default(self) -> str:
        return next(iter(self.models))

    @property
    def waiting(self) -> int:
        return sum(len(group.waiting) for group in self._groups.values())

    @property
    def running(self) -> int:
        return sum(len(group.jobs) for group in self._groups.values())

    @property
    def stopping(self) -> bool:
        return self._stopping

    def prompt(
        self, image: LazyImage, *, model: str | None = None, question: str | None = None, system: str | None = None
    ):
        """The image and question as the model reads them; safe on any thread, and the costly part of a request.

        Raises:
            DataError: the image can't be read, or the question holds a special token.
        """
        served = self.served(model)
        sample = Sample("request", image, "", question, served.system if system is None else system)
        return prompt_of(served.processor, sample, PromptStyle(served.question))

    def served(self, model: str | None) -> ServedModel:
        """
        Raises:
            ModelError: no such model is served.
        """
        found = self.models.get(self.default if model is None else model)
        if found is None:
            raise ModelError(f"model {model!r} is not served here; there are {', '.join(self.models)}")
        return found

    def submit(
        self,
        prompts: Sequence[Any],
        *,
        model: str | None = None,
        sampling: Sampling | None = None,
        stop: Sequence[str] = (),
        seed: int | None = None,
        timeout_s: float = 120.0,
        on_token: Callable[[int, Spoken], None] | None = None,
        on_done: Callable[[int, Job], None] | None = None,
    ) -> list[Job]:
        """One job for each prompt, all or none; the callbacks are told which.

        Raises:
            QueueFullError: too many are waiting.
            StoppingError: the engine is being closed.
        """
        served = self.served(model)
        sampling = sampling or Sampling(served.max_new_tokens)
        now = time.monotonic()
        jobs = []
        for number, prompt in enumerate(prompts):
            text = TextStream(self._pieces[served.name], stop)
            row = Decoded(sampling, self._generator(sampling, seed, number), text)
            job = Job(served.name, prompt, row, now + timeout_s, asked_at=now)
            job.on_token = _numbered(on_token, number)
            job.on_done = _numbered(on_done, number)
            jobs.append(job)
        with self._wake:
            if self._stopping:
                raise StoppingError("the server is being stopped; ask another one")
            if self.waiting + len(jobs) > self.max_waiting or self._waiting_bytes > MOST_WAITING_BYTES:
                raise QueueFullError(self.waiting, self._retry_after_s())
            self._groups[served.name].waiting.extend(jobs)
            self._wake.notify()
        return jobs

    def close(self, drain_s: float = 30.0) -> None:
        """Takes nothing more, answers what it has for `drain_s`, cancels the rest and stops."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(drain_s)
        if self._thread.is_alive():
            for group in self._groups.values():
                for job in [*group.jobs, *group.waiting]:
                    job.cancel()
            self._thread.join()

    def _generator(self, sampling: Sampling, seed: int | None, number: int) -> torch.Generator | None:
        if not sampling.temperature:
            return None
        generator = torch.Generator(self._device)
        return generator.manual_seed(seed + number) if seed is not None else _freshly_seeded(generator)

    def _retry_after_s(self) -> int:
        """A guess: as long as the oldest one that waits has waited by now, at least a second."""
        oldest = min((group.waiting[0].asked_at for group in self._groups.values() if group.waiting), default=0.0)
        return max(1, min(60, round(time.monotonic() - oldest)))

    @property
    def _waiting_bytes(self) -> int:
        prompts = {id(job.prompt): job.prompt for group in self._groups.values() for job in group.waiting}
        return sum(prompt.patches.nbytes for prompt in prompts.values() if prompt.patches is not None)

    # The engine's thread

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self.waiting and not self.running:
                    if self._stopping:
                        return
                    self._wake.wait(0.5)
            for name, group in self._groups.items():
                if group.waiting or group.jobs:
                    self._turn(name, group)

    def _turn(self, name: str, group: _Group) -> None:
        """One token for each row of a group, new rows first."""
        self._drop(group)
        joining = self._admitted(group)
        try:
            if (joining or group.jobs) and self._adapter != self.models[name].adapter:
                self._adapter = self.models[name].adapter
                use_adapter(self._model, self._adapter)
            if joining:
                self._join(name, group, joining)
            elif group.jobs:
                self._step(group)
        except Exception as error:  # noqa: BLE001 - a batch that can't be computed (no memory) must not end the server
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            for job in {id(job): job for job in [*joining, *group.jobs]}.values():
                self._end(job, "failed", f"the model failed on this batch ({reason}); send fewer or smaller images")
            group.jobs.clear()
            group.batch = LiveBatch(self._model, group.batch.end_ids)

    def _admitted(self, group: _Group) -> list[Job]:
        """Those that may join now, in the order they came."""
        free = min(self.slots - self.running, LONGEST_JOIN)
        with self._wake:
            return [group.waiting.popleft() for _ in range(min(free, len(group.waiting)))]

    def _join(self, name: str, group: _Group, joining: list[Job]) -> None:
        now = time.monotonic()
        for job in joining:
            job.began_at = now
        inputs = model_inputs(self.models[name].processor, [job.prompt for job in joining], self._device)
        group.batch.join(inputs, [job.row for job in joining])
        self.counts.joins += 1
        group.jobs += joining
        self._tell(group, joining)

    def _step(self, group: _Group) -> None:
        group.batch.step()
        self.counts.steps += 1
        self.counts.rows_in_steps += len(group.jobs)
        self._tell(group, group.jobs)

    def _tell(self, group: _Group, jobs: Sequence[Job]) -> None:
        """Each job its new token; those that are done leave."""
        self.counts.tokens += len(jobs)
        for job in jobs:
            self._speak(job)
            if not job.row.going:
                self._end(job, "done")
        group.jobs = [job for job in group.jobs if job.outcome is None]

    def _speak(self, job: Job) -> None:
        row, pieces = job.row, self._pieces[job.model]
        assert row.text is not None
        if job.on_token is None:
            return
        token = row.tokens[-1]
        others = tuple(
            (pieces[other].decode("utf-8", "replace"), pieces[other], log_probability)
            for other, log_probability in row.alternatives[-1]
        )
        job.on_token(Spoken(row.fresh, pieces[token], row.log_probabilities[-1], others))

    def _drop(self, group: _Group) -> None:
        """Ends what nobody waits for any more, or what has taken too long."""
        now = time.monotonic()
        for job in [*group.jobs, *group.waiting]:
            if job.cancelled or now > job.deadline:
                job.row.finish("length")
                self._end(job, "cancelled" if job.cancelled else "timeout")
        group.jobs = [job for job in group.jobs if job.outcome is None]
        with self._wake:
            group.waiting = deque(job for job in group.waiting if job.outcome is None)

    def _end(self, job: Job, outcome: Any, error: str | None = None) -> None:
        job.outcome, job.error, job.ended_at = outcome, error, time.monotonic()
        job.finished.set()
        if job.on_done is not None:
            job.on_done(job)


def open_engine(models: Sequence[str], *, slots: int = 32, max_waiting: int = 256, **model_settings: Any) -> Engine:
    """An engine of run folders on one base, a checkpoint folder, a hub id, or `nano`.

    Raises:
        ModelError: no such model, or adapters of several bases.
        RunError: a run folder that is damaged or not there.
    """
    model, served = open_models(models, **model_settings)
    return Engine(model, served, slots=slots, max_waiting=max_waiting)


def _numbered(callback: Callable | None, number: int) -> Callable | None:
    return None if callback is None else lambda value: callback(number, value)


def _freshly_seeded(generator: torch.Generator) -> torch.Generator:
    generator.seed()
    return generator
