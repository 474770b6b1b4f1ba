"""`POST /v1/chat/completions` in OpenAI's form: one image, one question, one or several answers."""

import time
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from texlens.inference.job import Job, Spoken
from texlens.inference.sampling import Sampling
from texlens.serve.conversation import Conversation, conversation_of, refuse_unknown
from texlens.serve.errors import Fault, fault_of
from texlens.serve.fetch import image_bytes
from texlens.serve.routes.read import EVENTS, event
from texlens.serve.schemas import ERRORS, ChatRequest
from texlens.serve.service import Asked, Listener, Office, ended_well

_FINISH = {"end": "stop", "stop": "stop", "length": "length", "loop": "length"}


def router(office: Office) -> APIRouter:
    routes = APIRouter(tags=["chat"])

    @routes.post("/v1/chat/completions", responses=ERRORS)
    async def chat(request: Request, body: ChatRequest) -> Any:
        """Ask about an image."""
        refuse_unknown(body)
        asked = await _asked(office, body, conversation_of(body))
        listener = Listener(asked.copies, tokens=bool(body.stream or body.logprobs))
        jobs = await office.ask(asked, listener)
        events = listener.events(request, jobs)
        told = _Told(body, asked.model)
        if body.stream:
            return StreamingResponse(_stream(office, told, events), media_type=EVENTS)
        async for number, said in events:
            if isinstance(said, Spoken):
                told.spoken[number].append(said)
        return JSONResponse(told.whole([ended_well(job) for job in jobs]))

    return routes


async def _asked(office: Office, body: ChatRequest, said: Conversation) -> Asked:
    served = office.engine.served(body.model)
    office.check_text(said.question, "messages")
    office.check_text(said.system, "messages")
    given = body.max_completion_tokens if body.max_completion_tokens is not None else body.max_tokens
    if body.top_logprobs and not body.logprobs:
        raise Fault(422, "invalid_value", "top_logprobs: needs logprobs true beside it", "top_logprobs")
    sampling = Sampling(
        office.max_tokens(served.name, given),
        body.temperature or None,
        1.0 if body.top_p is None else body.top_p,
        body.top_logprobs or 0,
    )
    image = await run_in_threadpool(image_bytes, said.url, office.settings)
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    return Asked(image, served.name, said.question, said.system, sampling, stop, body.seed, body.n or 1, "messages")


class _Told:
    """The parts of an answer in OpenAI's form."""

    def __init__(self, body: ChatRequest, model: str):
        self.body = body
        self.spoken: list[list[Spoken]] = [[] for _ in range(body.n or 1)]
        self.jobs: list[Job] = []
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}

    def whole(self, jobs: list[Job]) -> dict[str, Any]:
        self.jobs = jobs
        choices = [
            {
                "index": number,
                "message": {"role": "assistant", "content": job.text, "refusal": None},
                "finish_reason": _FINISH[job.row.stop],
                "logprobs": self._logprobs(self.spoken[number]),
            }
            for number, job in enumerate(jobs)
        ]
        return {**self._head, "object": "chat.completion", "choices": choices, "usage": self.usage()}

    def chunk(
        self, number: int, delta: Mapping[str, Any], said: Spoken | None = None, finish: str | None = None
    ) -> str:
        choice = {
            "index": number,
            "delta": delta,
            "finish_reason": finish,
            "logprobs": self._logprobs([said]) if said else None,
        }
        more = {"usage": None} if self._wants_usage() else {}
        return event({**self._head, "object": "chat.completion.chunk", "choices": [choice], **more})

    def last(self) -> str:
        """The usage, where it was asked for, and the end."""
        told = ""
        if self._wants_usage():
            told = event({**self._head, "object": "chat.completion.chunk", "choices": [], "usage": self.usage()})
        return told + "data: [DONE]\n\n"

    def usage(self) -> dict[str, int]:
        read = len(self.jobs[0].prompt) if self.jobs else 0
        written = sum(len(job.row.tokens) for job in self.jobs)
        return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}

    def _wants_usage(self) -> bool:
        return bool(self.body.stream_options and self.body.stream_options.include_usage)

    def _logprobs(self, spoken: list[Spoken]) -> dict[str, Any] | None:
        if not self.body.logprobs:
            return None
        return {"content": [_token(said) for said in spoken if said.data], "refusal": None}


def _token(said: Spoken) -> dict[str, Any]:
    own = _one(said.data.decode("utf-8", "replace"), said.data, said.log_probability)
    return {**own, "top_logprobs": [_one(*other) for other in said.alternatives]}


def _one(text: str, data: bytes, log_probability: float) -> dict[str, Any]:
    return {"token": text, "logprob": log_probability, "bytes": list(data)}


async def _stream(office: Office, told: _Told, events: AsyncIterator) -> AsyncIterator[str]:
    for number in range(len(told.spoken)):
        yield told.chunk(number, {"role": "assistant", "content": ""})
    try:
        async for number, said in events:
            if isinstance(said, Spoken):
                if said.text or (told.body.logprobs and said.data):
                    yield told.chunk(number, {"content": said.text}, said)
                continue
            told.jobs.append(ended_well(said))
            yield told.chunk(number, {}, finish=_FINISH[said.row.stop])
        yield told.last()
    except Exception as error:  # noqa: BLE001 - the status is long sent, so every error becomes an event
        yield event(fault_of(error).body)
