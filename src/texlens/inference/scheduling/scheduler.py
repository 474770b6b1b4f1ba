"""`RequestScheduler`: one thread with the model; requests of any adapter join and leave its batch at any time."""

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from texlens.core.errors import ModelError, one_line
from texlens.data.sample import LazyImage, Sample
from texlens.inference.backends.transformers import TransformersBackend
from texlens.inference.decoders import open_decoder
from texlens.inference.decoding.decoding_batch import DecodingBatch
from texlens.inference.decoding.detokenize import IncrementalDetokenizer, TokenBytes
from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.decoding.grammar import row_grammar
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.engine.read_ahead import short_turns
from texlens.inference.model import LoadedModel
from texlens.inference.open_shared import open_shared
from texlens.inference.opening.source import LoadOptions, resolve
from texlens.inference.preparation import SURE, PreparedSample
from texlens.inference.prompts import end_ids, prompt_example
from texlens.inference.scheduling.job import (
    GenerationJob,
    Outcome,
    QueueFullError,
    ServedPrompt,
    StoppingError,
    TokenEvent,
    sureness,
)
from texlens.inputs.example import Example

MAX_PREFILL_ROWS = 16
"""Rows that join a running batch at once, so that the rows in it don't wait long for their next token."""

ROWS_TO_ONE_JOINING = 16
GATHER_S = 0.05
"""How long a row waits for others, one for each `ROWS_TO_ONE_JOINING` that run, before it joins them: on a GPU a
prefill of one takes about as long as one of three, and nobody else gets a token meanwhile."""

MAX_WAITING_BYTES = 4 * 2**30
"""Image patches in the queue; beyond that it counts as full, however few requests wait."""


@dataclass
class SchedulerCounts:
    """What the scheduler has done since its start, for /metrics."""

    steps: int = 0
    tokens: int = 0
    rows_in_steps: int = 0
    prefills: int = 0


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
        self._token_bytes = {name: TokenBytes(backend.processor.tokenizer) for name, backend in self._backends.items()}
        self._backends[self.default].model.eval()
        self._batch = self._new_batch()
        self._jobs: list[GenerationJob] = []
        self._views = ThreadPoolExecutor(1, "texlens-view")
        self._drawing: list[tuple[GenerationJob, Future[Example]]] = []
        self._waiting: deque[GenerationJob] = deque()
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
        return len(self._waiting)

    @property
    def running(self) -> int:
        return len(self._jobs)

    @property
    def is_stopping(self) -> bool:
        return self._stopping

    def prompt(
        self, image: LazyImage, *, model: str | None = None, prompt: str | None = None, system: str | None = None
    ) -> ServedPrompt:
        """Image and prompt as the model reads them; thread-safe, and the expensive part of a request.

        Raises:
            DataError: the image can't be read, or the prompt holds a special token.
        """
        loaded = self.model(model)
        system = loaded.style.system_prompt if system is None else system
        sample = Sample("request", image, "", prompt, system)
        processor, raw = self._backends[loaded.name].processor, self._batch.raw_patches

        def example(read: Sample) -> Example:
            return prompt_example(processor, read, loaded.style, raw_patches=raw)

        if loaded.preparation is None:
            return ServedPrompt(example(sample))
        prepared = PreparedSample(sample, loaded.preparation)
        second = partial(_other_example, prepared, example) if prepared.has_other_view else None
        return ServedPrompt(example(prepared.sample), second, prepared.steps, prepared.other_steps)

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
        prompts: Sequence[ServedPrompt],
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
            row_seed = secrets.randbits(63) if seed is None else seed + number
            new_state = partial(self._new_state, loaded.name, sampling, stop, row_seed)
            job = GenerationJob(
                loaded.name,
                prompt.example,
                new_state(),
                now + timeout_s,
                other_view=prompt.other_view,
                new_state=new_state,
                steps=prompt.steps,
                other_steps=prompt.other_steps,
                submitted_at=now,
            )
            job.on_token = _numbered(on_token, number)
            job.on_done = _numbered(on_done, number)
            jobs.append(job)
        with self._wake:
            if self._stopping:
                raise StoppingError("the server is being stopped; ask another one")
            if self.waiting + len(jobs) > self.max_waiting or self._waiting_bytes > MAX_WAITING_BYTES:
                raise QueueFullError(self.waiting, self._retry_after_s())
            self._waiting.extend(jobs)
            self._wake.notify()
        return jobs

    def _new_state(self, name: str, sampling: Sampling, stop: Sequence[str], seed: int) -> GenerationState:
        backend = self._backends[name]
        grammar = row_grammar(backend.processor.tokenizer, end_ids(backend.processor), sampling)
        detokenizer = IncrementalDetokenizer(self._token_bytes[name], stop)
        return GenerationState(sampling, backend.adapter, seed, detokenizer, grammar)

    def close(self, drain_s: float = 30.0) -> None:
        """Accept nothing more, finish running jobs for `drain_s` seconds, cancel the rest, and stop."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(drain_s)
        if self._thread.is_alive():
            for job in [*self._jobs, *self._waiting, *(job for job, _ in self._drawing)]:
                job.cancel()
            self._thread.join()
        self._views.shutdown(wait=False, cancel_futures=True)

    def _retry_after_s(self) -> int:
        """An estimate: as long as the oldest waiting request has waited so far, at least a second."""
        now = time.monotonic()
        oldest = self._waiting[0].submitted_at if self._waiting else now
        return max(1, min(60, round(now - oldest)))

    @property
    def _waiting_bytes(self) -> int:
        examples = {id(job.prompt): job.prompt for job in self._waiting}
        return sum(part.patches.nbytes for part in examples.values() if part.patches is not None)

    def _new_batch(self) -> DecodingBatch:
        first = self._backends[self.default]
        return open_decoder(first.switch, first.processor, [backend.adapter for backend in self._backends.values()])

    # The scheduler's thread

    def _run(self) -> None:
        with short_turns(self._backends[self.default].device.type == "cuda"):
            while self._waits_for_jobs():
                self._schedule()

    def _waits_for_jobs(self) -> bool:
        """False at the end of the scheduler."""
        with self._wake:
            while not self._waiting and not self._jobs and not any(future.done() for _, future in self._drawing):
                if self._stopping and not self._drawing:
                    return False
                self._wake.wait(0.5)
                if self._drawing:
                    return True  # they may be past their deadlines
        return True

    def _schedule(self) -> None:
        """New rows join, or each row gets a token."""
        self._expire()
        self._begin_second_readings()
        joining = self._admit()
        try:
            if joining:
                self._prefill(joining)
            elif self._jobs:
                self._step()
        except Exception as error:  # noqa: BLE001 - a batch that can't be computed (no memory) must not end the server
            self._fail(joining, error)

    def _fail(self, joining: Sequence[GenerationJob], error: Exception) -> None:
        """End the jobs of a batch that failed, and begin a new batch."""
        reason = one_line(error, 300) or type(error).__name__
        for job in {id(job): job for job in [*joining, *self._jobs]}.values():
            self._end_early(job, "failed", f"the model failed on this batch ({reason}); send fewer or smaller images")
        self._jobs.clear()
        self._batch = self._new_batch()

    def _admit(self) -> list[GenerationJob]:
        """Jobs that may join now, in the order they came."""
        free = min(self.slots - self.running, MAX_PREFILL_ROWS)
        with self._wake:
            if self._gathers(time.monotonic()):
                return []
            return [self._waiting.popleft() for _ in range(min(free, len(self._waiting)))]

    def _gathers(self, now: float) -> bool:
        """Whether those that wait wait a little longer, to join together."""
        few = len(self._waiting) < min(self.running, self.slots - self.running) // ROWS_TO_ONE_JOINING
        return few and all(now - job.submitted_at < GATHER_S for job in self._waiting)

    def _prefill(self, joining: list[GenerationJob]) -> None:
        now = time.monotonic()
        for job in joining:
            job.started_at = job.started_at or now
        self._batch.prefill([job.prompt for job in joining], [job.state for job in joining])
        self.counts.prefills += 1
        self._jobs += joining
        self._publish()

    def _step(self) -> None:
        self._batch.step()
        self.counts.steps += 1
        self.counts.rows_in_steps += len(self._jobs)
        self._publish()

    def _publish(self) -> None:
        """Report new tokens; finished jobs leave."""
        doubtful = [
            job
            for job in self._jobs
            if not job.state.is_active and job.other_view is not None and sureness(job.state) < SURE
        ]
        for job in self._jobs:
            if job in doubtful:
                self._draw_other_view(job)
                continue
            if not job.state.is_active:
                job.decide()
            if not job.is_undecided:
                self._report(job)
        self._jobs = [job for job in self._jobs if job.outcome is None and job not in doubtful]

    def _draw_other_view(self, job: GenerationJob) -> None:
        """Begins to draw it in a thread; other rows go on meanwhile."""
        assert job.other_view is not None
        future = self._views.submit(job.other_view)
        job.await_second()
        self._drawing.append((job, future))
        future.add_done_callback(self._wake_up)

    def _wake_up(self, _: object) -> None:
        with self._wake:
            self._wake.notify()

    def _begin_second_readings(self) -> None:
        """Rows whose other view is drawn join before those that wait; where it can't be, the first reading stays."""
        drawn = [(job, future) for job, future in self._drawing if future.done()]
        self._drawing = [(job, future) for job, future in self._drawing if not future.done()]
        for job, future in reversed(drawn):
            try:
                job.begin_second(future.result())
            except Exception:  # noqa: BLE001 - the first reading is an answer, whatever is wrong with the other view
                self._end_early(job, "done")
                continue
            with self._wake:
                self._waiting.appendleft(job)

    def _report(self, job: GenerationJob) -> None:
        """Its new tokens, and whether it has ended."""
        self._emit_tokens(job)
        if job.state.error is not None:
            self._finish(job, "failed", job.state.error)
        elif not job.state.is_active:
            self._finish(job, "done")

    def _emit_tokens(self, job: GenerationJob) -> None:
        state, token_bytes = job.state, self._token_bytes[job.model]
        for index in state.unreported_tokens():
            self.counts.tokens += 1
            if job.on_token is None:
                continue
            token = state.tokens[index]
            alternatives = tuple(
                (token_bytes[other].decode("utf-8", "replace"), token_bytes[other], log_probability)
                for other, log_probability in state.alternatives[index]
            )
            text, log_probability = state.token_texts[index], state.log_probabilities[index]
            job.on_token(TokenEvent(text, token_bytes[token], log_probability, alternatives))

    def _expire(self) -> None:
        """End jobs that were cancelled or are past their deadline."""
        now = time.monotonic()
        for job in [*self._jobs, *self._waiting, *(job for job, _ in self._drawing)]:
            if job.cancelled or now > job.deadline:
                if job.state.is_active:
                    job.state.finish("length")
                self._end_early(job, "cancelled" if job.cancelled else "timeout")
        self._jobs = [job for job in self._jobs if job.outcome is None]
        self._drawing = [(job, future) for job, future in self._drawing if job.outcome is None]
        with self._wake:
            self._waiting = deque(job for job in self._waiting if job.outcome is None)

    def _end_early(self, job: GenerationJob, outcome: Outcome, error: str | None = None) -> None:
        """Ends a job that is under way; in a second reading the first is its answer."""
        if job.first is None or job.cancelled:
            self._finish(job, outcome, error)
            return
        job.decide()
        self._report(job)

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


def _other_example(prepared: PreparedSample, example: Callable[[Sample], Example]) -> Example:
    view = prepared.other_view
    assert view is not None
    return example(view)


def _numbered(callback: Callable | None, number: int) -> Callable[[Any], None] | None:
    return None if callback is None else lambda value: callback(number, value)
