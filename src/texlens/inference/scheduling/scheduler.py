"""`RequestScheduler`: one thread with the model; requests join and leave its batches at any time.

Rows of one adapter make a batch; a model with several adapters takes turns, one token each.
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
from texlens.inference.backends.transformers import TransformersBackend
from texlens.inference.decoders import open_decoder
from texlens.inference.decoding.decoding_batch import DecodingBatch
from texlens.inference.decoding.detokenize import IncrementalDetokenizer, TokenBytes
from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.model import LoadedModel
from texlens.inference.open_shared import open_shared
from texlens.inference.prompts import end_ids, model_inputs, prompt_example
from texlens.inference.scheduling.job import GenerationJob, Outcome, QueueFullError, StoppingError, TokenEvent
from texlens.inference.source import LoadOptions, resolve
from texlens.inputs.example import Example

MAX_PREFILL_ROWS = 16
"""Rows that join a running batch at once, so that the rows in it don't wait long for their next token."""

MAX_WAITING_BYTES = 4 * 2**30
"""Image patches in the queue; beyond that it counts as full, however few requests wait."""


@dataclass
class SchedulerCounts:
    """What the scheduler has done since its start, for /metrics."""

    steps: int = 0
    tokens: int = 0
    rows_in_steps: int = 0
    prefills: int = 0


@dataclass
class _Queue:
    """The batch of one model, its jobs, and those that wait to join."""

    batch: DecodingBatch
    jobs: list[GenerationJob] = field(default_factory=list)
    waiting: deque[GenerationJob] = field(default_factory=deque)


class RequestScheduler:
    """Generates for any of `models` (all on one base), many requests at a time.

    A context manager: at its end the scheduler finishes what it has begun and stops.
    """

    def __init__(self, models: Mapping[str, LoadedModel], *, slots: int = 32, max_waiting: int = 256):
        self.models = dict(models)
        self.slots = slots
        self.max_waiting = max_waiting
        self.counts = SchedulerCounts()
        self._backends = {name: _transformers_backend(model) for name, model in self.models.items()}
        self._token_bytes = {name: TokenBytes(one.processor.tokenizer) for name, one in self._backends.items()}
        self._device = self._backends[self.default].device
        for backend in self._backends.values():
            backend.model.eval()
        self._queues = {name: _Queue(self._new_batch(name)) for name in self.models}
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="texlens-scheduler", daemon=True)
        self._thread.start()

    def __enter__(self) -> "RequestScheduler":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def default(self) -> str:
        return next(iter(self.models))

    @property
    def waiting(self) -> int:
        return sum(len(queue.waiting) for queue in self._queues.values())

    @property
    def running(self) -> int:
        return sum(len(queue.jobs) for queue in self._queues.values())

    @property
    def is_stopping(self) -> bool:
        return self._stopping

    def prompt(
        self, image: LazyImage, *, model: str | None = None, prompt: str | None = None, system: str | None = None
    ) -> Example:
        """Image and prompt as the model reads them; thread-safe, and the expensive part of a request.

        Raises:
            DataError: the image can't be read, or the prompt holds a special token.
        """
        loaded = self.model(model)
        system = loaded.style.system_prompt if system is None else system
        sample = Sample("request", image, "", prompt, system)
        return prompt_example(self._backends[loaded.name].processor, sample, loaded.style)

    def model(self, name: str | None) -> LoadedModel:
        """The model of a name, or the default one.

        Raises:
            ModelError: no such model is served.
        """
        loaded = self.models.get(self.default if name is None else name)
        if loaded is None:
            raise ModelError(f"model {name!r} is not served here; there are {', '.join(self.models)}")
        return loaded

    def submit(
        self,
        prompts: Sequence[Example],
        *,
        model: str | None = None,
        sampling: Sampling | None = None,
        stop: Sequence[str] = (),
        seed: int | None = None,
        timeout_s: float = 120.0,
        on_token: Callable[[int, TokenEvent], None] | None = None,
        on_done: Callable[[int, GenerationJob], None] | None = None,
    ) -> list[GenerationJob]:
        """One job for each prompt, all or none; the callbacks get its number first.

        Raises:
            QueueFullError: too many requests are waiting.
            StoppingError: the scheduler is being closed.
        """
        loaded = self.model(model)
        sampling = sampling or Sampling(loaded.max_new_tokens)
        now = time.monotonic()
        jobs = []
        for number, prompt in enumerate(prompts):
            detokenizer = IncrementalDetokenizer(self._token_bytes[loaded.name], stop)
            state = GenerationState(sampling, self._generator(sampling, seed, number), detokenizer)
            job = GenerationJob(loaded.name, prompt, state, now + timeout_s, submitted_at=now)
            job.on_token = _numbered(on_token, number)
            job.on_done = _numbered(on_done, number)
            jobs.append(job)
        with self._wake:
            if self._stopping:
                raise StoppingError("the server is being stopped; ask another one")
            if self.waiting + len(jobs) > self.max_waiting or self._waiting_bytes > MAX_WAITING_BYTES:
                raise QueueFullError(self.waiting, self._retry_after_s())
            self._queues[loaded.name].waiting.extend(jobs)
            self._wake.notify()
        return jobs

    def close(self, drain_s: float = 30.0) -> None:
        """Accept nothing more, finish running jobs for `drain_s` seconds, cancel the rest, and stop."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(drain_s)
        if self._thread.is_alive():
            for queue in self._queues.values():
                for job in [*queue.jobs, *queue.waiting]:
                    job.cancel()
            self._thread.join()

    def _generator(self, sampling: Sampling, seed: int | None, number: int) -> torch.Generator | None:
        if sampling.is_greedy:
            return None
        generator = torch.Generator(self._device)
        if seed is None:
            generator.seed()
        else:
            generator.manual_seed(seed + number)
        return generator

    def _retry_after_s(self) -> int:
        """An estimate: as long as the oldest waiting request has waited so far, at least a second."""
        now = time.monotonic()
        oldest = min((queue.waiting[0].submitted_at for queue in self._queues.values() if queue.waiting), default=now)
        return max(1, min(60, round(now - oldest)))

    @property
    def _waiting_bytes(self) -> int:
        prompts = {id(job.prompt): job.prompt for queue in self._queues.values() for job in queue.waiting}
        return sum(prompt.patches.nbytes for prompt in prompts.values() if prompt.patches is not None)

    def _new_batch(self, name: str) -> DecodingBatch:
        backend = self._backends[name]
        return open_decoder(backend.model, end_ids(backend.processor))

    # The scheduler's thread

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self.waiting and not self.running:
                    if self._stopping:
                        return
                    self._wake.wait(0.5)
            for name, queue in self._queues.items():
                if queue.waiting or queue.jobs:
                    self._schedule(name, queue)

    def _schedule(self, name: str, queue: _Queue) -> None:
        """One token for each row of a model, new rows first."""
        self._expire(queue)
        joining = self._admit(queue)
        try:
            if joining or queue.jobs:
                self._backends[name].activate()
            if joining:
                self._prefill(name, queue, joining)
            elif queue.jobs:
                self._step(queue)
        except Exception as error:  # noqa: BLE001 - a batch that can't be computed (no memory) must not end the server
            self._fail(name, queue, joining, error)

    def _fail(self, name: str, queue: _Queue, joining: Sequence[GenerationJob], error: Exception) -> None:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        for job in {id(job): job for job in [*joining, *queue.jobs]}.values():
            self._finish(job, "failed", f"the model failed on this batch ({reason}); send fewer or smaller images")
        queue.jobs.clear()
        queue.batch = self._new_batch(name)

    def _admit(self, queue: _Queue) -> list[GenerationJob]:
        """Jobs that may join now, in the order they came."""
        free = min(self.slots - self.running, MAX_PREFILL_ROWS)
        with self._wake:
            return [queue.waiting.popleft() for _ in range(min(free, len(queue.waiting)))]

    def _prefill(self, name: str, queue: _Queue, joining: list[GenerationJob]) -> None:
        now = time.monotonic()
        for job in joining:
            job.started_at = now
        inputs = model_inputs(self._backends[name].processor, [job.prompt for job in joining], self._device)
        queue.batch.prefill(inputs, [job.state for job in joining])
        self.counts.prefills += 1
        queue.jobs += joining
        self._publish(queue, joining)

    def _step(self, queue: _Queue) -> None:
        queue.batch.step()
        self.counts.steps += 1
        self.counts.rows_in_steps += len(queue.jobs)
        self._publish(queue, queue.jobs)

    def _publish(self, queue: _Queue, jobs: Sequence[GenerationJob]) -> None:
        """Report each job's new token; finished jobs leave."""
        self.counts.tokens += len(jobs)
        for job in jobs:
            self._emit_token(job)
            if job.state.error is not None:
                self._finish(job, "failed", job.state.error)
            elif not job.state.is_active:
                self._finish(job, "done")
        queue.jobs = [job for job in queue.jobs if job.outcome is None]

    def _emit_token(self, job: GenerationJob) -> None:
        state, token_bytes = job.state, self._token_bytes[job.model]
        if job.on_token is None or not state.tokens or state.error is not None:
            return
        token = state.tokens[-1]
        alternatives = tuple(
            (token_bytes[other].decode("utf-8", "replace"), token_bytes[other], log_probability)
            for other, log_probability in state.alternatives[-1]
        )
        job.on_token(TokenEvent(state.new_text, token_bytes[token], state.log_probabilities[-1], alternatives))

    def _expire(self, queue: _Queue) -> None:
        """End jobs that were cancelled or are past their deadline."""
        now = time.monotonic()
        for job in [*queue.jobs, *queue.waiting]:
            if job.cancelled or now > job.deadline:
                job.state.finish("length")
                self._finish(job, "cancelled" if job.cancelled else "timeout")
        queue.jobs = [job for job in queue.jobs if job.outcome is None]
        with self._wake:
            queue.waiting = deque(job for job in queue.waiting if job.outcome is None)

    def _finish(self, job: GenerationJob, outcome: Outcome, error: str | None = None) -> None:
        job.outcome, job.error, job.ended_at = outcome, error, time.monotonic()
        job.finished.set()
        if job.on_done is not None:
            job.on_done(job)


def open_scheduler(
    models: Sequence[str],
    *,
    checkpoint: str | int | None = None,
    slots: int = 32,
    max_waiting: int = 256,
    trust_remote_code: bool = False,
) -> RequestScheduler:
    """A scheduler of run folders on one base, a checkpoint folder, a hub id, or `nano`.

    Args:
        checkpoint: of a run folder: `best`, `latest` or a step; for one model.

    Raises:
        ModelError: no such model, or adapters of several bases.
        RunError: a run folder that is damaged or not there.
    """
    options = LoadOptions(trust_remote_code=trust_remote_code)
    sources = [resolve(model, checkpoint=checkpoint, options=options) for model in models]
    return RequestScheduler(open_shared(sources), slots=slots, max_waiting=max_waiting)


def _transformers_backend(model: LoadedModel) -> TransformersBackend:
    if not isinstance(model.backend, TransformersBackend):
        raise ModelError(f"{model.name}: only models that transformers loads can be served")
    return model.backend


def _numbered(callback: Callable | None, number: int) -> Callable[[Any], None] | None:
    return None if callback is None else lambda value: callback(number, value)
