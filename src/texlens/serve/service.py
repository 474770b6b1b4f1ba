"""`InferenceService`: between routes and scheduler. Decodes images, submits requests, notices clients that leave."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from fastapi import Request

from texlens.core.errors import SPECIAL_TOKEN, DataError
from texlens.data.sample import LazyImage, Sample
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.model import LoadedModel
from texlens.inference.preparation import PreparedSample
from texlens.inference.scheduling.job import GenerationJob, TokenEvent
from texlens.inference.scheduling.scheduler import RequestScheduler
from texlens.serve.errors import ApiError, data_api_error
from texlens.serve.image_decoder import ImageDecoder
from texlens.serve.metrics import ServerMetrics
from texlens.serve.schemas import ModelEntry, ModelList
from texlens.serve.settings import ServeSettings

MOST_DECODERS = 8
DISCONNECT_POLL_S = 0.25
"""How often a client that waits for its answer is checked."""


@dataclass(frozen=True)
class GenerationRequest:
    """A request as the scheduler takes it; `param` names the image's field in error messages."""

    image: bytes
    model: str
    prompt: str | None = None
    system: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    seed: int | None = None
    copies: int = 1
    param: str = "file"


class InferenceService:
    """Shared by all routes of an application."""

    def __init__(self, scheduler: RequestScheduler, settings: ServeSettings, metrics: ServerMetrics):
        self.scheduler, self.settings, self.metrics = scheduler, settings, metrics
        self.decoder = ImageDecoder(
            max_pixels=settings.max_image_pixels,
            timeout_s=settings.decode_timeout_s,
            processes=max(2, min(MOST_DECODERS, (os.cpu_count() or 1) // 2)),
        )
        self._created = int(time.time())

    @property
    def model_list(self) -> ModelList:
        return ModelList(data=[self.model_entry(model) for model in self.scheduler.models.values()])

    def model_entry(self, model: LoadedModel) -> ModelEntry:
        return ModelEntry(
            id=model.name,
            created=self._created,
            parent=model.parent,
            prompt=model.style.prompt,
            system=model.style.system_prompt,
            question=model.style.prompt,
            calibrated=model.calibration is not None,
            prepares=model.preparation is not None,
        )

    def max_tokens(self, model: str | None, requested: int | None, param: str = "max_tokens") -> int:
        """The limit of a reading; by default what the model can hold, up to the server's limit.

        Raises:
            ApiError: more than the server allows.
            ModelError: no such model.
        """
        limit, loaded = self.settings.max_tokens, self.scheduler.model(model)
        if requested is not None and requested > limit:
            raise ApiError(422, "invalid_value", f"{param}: {requested} is over the {limit} allowed", param)
        return min(loaded.max_new_tokens if requested is None else requested, limit)

    def check_text(self, text: str | None, param: str) -> None:
        """
        Raises:
            ApiError: longer than the server allows.
        """
        limit = self.settings.max_prompt_characters
        if text is not None and len(text) > limit:
            raise ApiError(
                422, "invalid_value", f"{param}: {len(text):,} characters, over the {limit:,} allowed", param
            )

    async def submit(self, request: GenerationRequest, stream: "TokenStream | None" = None) -> list[GenerationJob]:
        """Jobs in progress, one for each copy.

        Raises:
            ApiError: the image or the prompt is refused.
            ModelError, QueueFullError, StoppingError: as the scheduler raises them.
        """
        try:
            prompt = await self.decoder.run(request.image, request.param, partial(self._prompt, request))
        except DataError as error:
            param = "prompt" if error.kind == SPECIAL_TOKEN else request.param
            raise data_api_error(error, param, "bad_image") from error
        return self.scheduler.submit(
            [prompt] * request.copies,
            model=request.model,
            sampling=request.sampling,
            stop=request.stop,
            seed=request.seed,
            timeout_s=self.settings.timeout_s,
            on_token=stream.put_token if stream else None,
            on_done=partial(self._finish, stream),
        )

    async def prepared(self, image: bytes, model: str | None) -> PreparedSample:
        """The image as the model reads it first.

        Raises:
            ApiError: the image is refused.
            ModelError: no such model.
        """
        preparation = self.scheduler.model(model).preparation

        def prepare(decoded: LazyImage) -> PreparedSample:
            sample = PreparedSample(Sample("request", decoded, ""), preparation)
            _ = sample.steps
            return sample

        try:
            return await self.decoder.run(image, "file", prepare)
        except DataError as error:
            raise data_api_error(error, "file", "bad_image") from error

    def _prompt(self, request: GenerationRequest, image):
        return self.scheduler.prompt(image, model=request.model, prompt=request.prompt, system=request.system)

    def _finish(self, stream: "TokenStream | None", number: int, job: GenerationJob) -> None:
        self.metrics.record_job(job)
        if stream is not None:
            stream.put(number, job)


class TokenStream:
    """Token events and finished jobs, brought from the scheduler's thread into the event loop."""

    def __init__(self, copies: int, tokens: bool):
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[tuple[int, TokenEvent | GenerationJob]] = asyncio.Queue()
        self._open = copies
        self.put_token = self.put if tokens else None

    def put(self, number: int, item: TokenEvent | GenerationJob) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, (number, item))

    async def events(
        self, request: Request, jobs: Sequence[GenerationJob]
    ) -> AsyncIterator[tuple[int, TokenEvent | GenerationJob]]:
        """Token events, and last of each copy its job; a client that has left cancels its jobs."""
        try:
            while self._open:
                try:
                    number, item = await asyncio.wait_for(self._queue.get(), DISCONNECT_POLL_S)
                except TimeoutError:
                    if await request.is_disconnected():
                        return
                    continue
                self._open -= isinstance(item, GenerationJob)
                yield number, item
        finally:
            for job in jobs:
                job.cancel()


def raise_for_outcome(job: GenerationJob) -> GenerationJob:
    """The job, if it finished.

    Raises:
        ApiError: it was cut short or failed.
    """
    if job.outcome == "timeout":
        waited = f"{job.deadline - job.submitted_at:.0f} s"
        message = f"no complete answer within {waited}; ask for fewer tokens or try again"
        raise ApiError(504, "generation_timeout", message)
    if job.outcome == "failed":
        raise ApiError(500, "internal_error", job.error or "the model failed on this request")
    if job.outcome == "cancelled":
        raise ApiError(503, "stopping", "the request was cancelled since the server is being stopped; try again")
    return job
