"""Between the routes and the engine: images checked, questions asked, answers awaited, clients that leave noticed."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from texlens.core.errors import DataError
from texlens.data.sample import LazyImage
from texlens.inference.batching import Engine
from texlens.inference.job import Job, Spoken
from texlens.inference.sampling import Sampling
from texlens.serve.errors import Fault
from texlens.serve.metrics import Meters
from texlens.serve.schemas import ModelEntry, ModelList
from texlens.serve.settings import ServeSettings

_LOOK_S = 0.25
"""How often a client that only waits is looked at."""


_DECODED_AT_ONCE = 4
"""Images held as pixels; one of 40 megapixels takes 120 MB and more."""


@dataclass(frozen=True)
class Asked:
    """A request as the engine takes it."""

    image: bytes
    model: str
    question: str | None = None
    system: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    seed: int | None = None
    copies: int = 1
    param: str = "file"


class Office:
    """Shared by all routes of an application."""

    def __init__(self, engine: Engine, settings: ServeSettings, meters: Meters):
        self.engine, self.settings, self.meters = engine, settings, meters
        self.began = int(time.time())
        self._decoding = asyncio.Semaphore(_DECODED_AT_ONCE)

    @property
    def model_list(self) -> ModelList:
        return ModelList(
            data=[
                ModelEntry(
                    id=one.name,
                    created=self.began,
                    parent=one.parent,
                    question=one.question,
                    calibrated=one.calibration is not None,
                )
                for one in self.engine.models.values()
            ]
        )

    def max_tokens(self, model: str | None, asked: int | None, param: str = "max_tokens") -> int:
        """
        Raises:
            Fault: more than the server allows.
            ModelError: no such model.
        """
        served = self.engine.served(model)
        if asked is not None and asked > self.settings.max_tokens:
            raise Fault(422, "invalid_value", f"{param}: {asked} is over the {self.settings.max_tokens} allowed", param)
        return min(served.max_new_tokens if asked is None else asked, self.settings.max_tokens)

    def check_text(self, text: str | None, param: str) -> None:
        limit = self.settings.max_prompt_characters
        if text is not None and len(text) > limit:
            raise Fault(422, "invalid_value", f"{param}: {len(text):,} characters, over the {limit:,} allowed", param)

    async def ask(self, asked: Asked, listener: "Listener | None" = None) -> list[Job]:
        """Jobs under way, as many as copies were asked for.

        Raises:
            Fault: the image is refused.
            DataError, ModelError, QueueFullError, StoppingError: as the engine has them.
        """
        async with self._decoding:
            prompt = await run_in_threadpool(self._prompt, asked)
        return self.engine.submit(
            [prompt] * asked.copies,
            model=asked.model,
            sampling=asked.sampling,
            stop=asked.stop,
            seed=asked.seed,
            timeout_s=self.settings.timeout_s,
            on_token=listener.token if listener else None,
            on_done=partial(self._ended, listener),
        )

    def _ended(self, listener: "Listener | None", number: int, job: Job) -> None:
        self.meters.job(job)
        if listener is not None:
            listener.done(number, job)

    def _prompt(self, asked: Asked):
        image = LazyImage.from_bytes(asked.image, asked.param)
        try:
            width, height = image.size
        except DataError as error:
            too_large = "over the limit" in str(error)
            raise _refused(error, asked.param, 413 if too_large else 400) from error
        limit = self.settings.max_image_pixels
        if width * height > limit:
            message = f"{asked.param}: {width}x{height} pixels, over the {limit:,} allowed; scale it down"
            raise Fault(413, "too_large", message, asked.param)
        try:
            return self.engine.prompt(image, model=asked.model, question=asked.question, system=asked.system)
        except DataError as error:
            about_text = "special token" in str(error)
            if about_text:
                raise Fault(422, "invalid_value", str(error), "question") from error
            raise _refused(error, asked.param, 400) from error


class Listener:
    """What jobs say, brought from the engine's thread into the event loop."""

    def __init__(self, copies: int, tokens: bool):
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[tuple[int, Spoken | Job]] = asyncio.Queue()
        self._open = copies
        self.token = self._put if tokens else None
        self.done = self._put

    def _put(self, number: int, said: Spoken | Job) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, (number, said))

    async def events(self, request: Request, jobs: Sequence[Job]) -> AsyncIterator[tuple[int, Spoken | Job]]:
        """Tokens, and last of each its job; ends when all have ended. A client that has gone cancels its jobs."""
        try:
            while self._open:
                try:
                    number, said = await asyncio.wait_for(self._queue.get(), _LOOK_S)
                except TimeoutError:
                    if await request.is_disconnected():
                        return
                    continue
                self._open -= isinstance(said, Job)
                yield number, said
        finally:
            for job in jobs:
                job.cancel()


def ended_well(job: Job) -> Job:
    """
    Raises:
        Fault: the job was cut short or failed.
    """
    if job.outcome == "timeout":
        waited = f"{job.deadline - job.asked_at:.0f} s"
        raise Fault(504, "generation_timeout", f"no whole answer within {waited}; ask for fewer tokens or try again")
    if job.outcome == "failed":
        raise Fault(500, "internal_error", job.error or "the model failed on this request")
    if job.outcome == "cancelled":
        raise Fault(503, "stopping", "the request was cancelled since the server is being stopped; try again")
    return job


def _refused(error: DataError, param: str, status: int) -> Fault:
    return Fault(status, "too_large" if status == 413 else "bad_image", " ".join(str(error).split()), param)
