"""`POST /v1/chat/completions` in OpenAI's form: one image, one prompt, one or several answers."""

import time
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from texlens.inference.confidence import Calibration
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.output_formats import confidence_of
from texlens.inference.scheduling.job import GenerationJob, TokenEvent
from texlens.latex.read_formula import formula_of
from texlens.serve.conversation import Conversation, conversation_of, refuse_unknown
from texlens.serve.errors import ApiError, api_error
from texlens.serve.fetch import fetch_image
from texlens.serve.routes.read import EVENT_STREAM, server_sent_event
from texlens.serve.schemas import ERRORS, ChatRequest, Reading
from texlens.serve.service import GenerationRequest, InferenceService, TokenStream, raise_for_outcome

_FINISH_REASONS = {"end": "stop", "stop": "stop", "length": "length", "loop": "length"}


def router(service: InferenceService) -> APIRouter:
    routes = APIRouter(tags=["chat"])

    @routes.post("/v1/chat/completions", responses=ERRORS)
    async def chat(request: Request, body: ChatRequest) -> Any:
        """Ask about an image."""
        refuse_unknown(body)
        generation = await _generation_request(service, body, conversation_of(body))
        tokens = TokenStream(generation.copies, tokens=bool(body.stream or body.logprobs))
        jobs = await service.submit(generation, tokens)
        events = tokens.events(request, jobs)
        response = ChatResponse(body, generation.model, service.scheduler.model(generation.model).calibration)
        if body.stream:
            return StreamingResponse(_event_stream(response, events), media_type=EVENT_STREAM)
        async for number, item in events:
            if isinstance(item, TokenEvent):
                response.token_events[number].append(item)
        finished = [raise_for_outcome(job) for job in jobs]
        return JSONResponse(await run_in_threadpool(response.completion, finished))

    return routes


async def _generation_request(
    service: InferenceService, body: ChatRequest, conversation: Conversation
) -> GenerationRequest:
    loaded = service.scheduler.model(body.model)
    service.check_text(conversation.prompt, "messages")
    service.check_text(conversation.system, "messages")
    if body.top_logprobs and not body.logprobs:
        raise ApiError(422, "invalid_value", "top_logprobs: needs logprobs true too", "top_logprobs")
    sampling = _sampling(service, body, loaded.name)
    image = await fetch_image(conversation.image_url, service.settings)
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    return GenerationRequest(
        image,
        loaded.name,
        conversation.prompt,
        conversation.system,
        sampling,
        stop,
        body.seed,
        body.n or 1,
        "messages",
    )


def _sampling(service: InferenceService, body: ChatRequest, model: str) -> Sampling:
    requested = body.max_completion_tokens if body.max_completion_tokens is not None else body.max_tokens
    return Sampling(
        max_new_tokens=service.max_tokens(model, requested),
        temperature=body.temperature or None,
        top_p=1.0 if body.top_p is None else body.top_p,
        min_p=body.min_p or 0.0,
        top_k=body.top_k or 0,
        repetition_penalty=1.0 if body.repetition_penalty is None else body.repetition_penalty,
        top_logprobs=body.top_logprobs or 0,
        grammar=bool(body.grammar),
    )


class ChatResponse:
    """The parts of an answer in OpenAI's form."""

    def __init__(self, body: ChatRequest, model: str, calibration: Calibration | None = None):
        self.body, self.calibration = body, calibration
        self.token_events: list[list[TokenEvent]] = [[] for _ in range(body.n or 1)]
        self.jobs: list[GenerationJob] = []
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}

    def completion(self, jobs: list[GenerationJob]) -> dict[str, Any]:
        """The complete answer, without streaming."""
        self.jobs = jobs
        choices = [
            {
                "index": number,
                "message": {"role": "assistant", "content": job.text, "refusal": None},
                "finish_reason": _FINISH_REASONS[job.state.stop],
                "logprobs": self._logprobs(self.token_events[number]),
                "reading": self.reading(job),
            }
            for number, job in enumerate(jobs)
        ]
        return {**self._head, "object": "chat.completion", "choices": choices, "usage": self.usage()}

    def reading(self, job: GenerationJob) -> dict[str, Any]:
        """The formula in an answer, and whether it is one."""
        formula = formula_of(job.text, self.body.clean is not False)
        return Reading(
            latex=formula.latex,
            removed=list(formula.removed),
            valid=formula.valid,
            problem=formula.problem,
            confidence=confidence_of(formula, self.calibration, job.state.log_probability),
        ).model_dump()

    def chunk(
        self,
        number: int,
        delta: Mapping[str, Any],
        event: TokenEvent | None = None,
        job: GenerationJob | None = None,
    ) -> str:
        """One event of a stream; the last of an answer has its finished job."""
        choice = {
            "index": number,
            "delta": delta,
            "finish_reason": None if job is None else _FINISH_REASONS[job.state.stop],
            "logprobs": self._logprobs([event]) if event else None,
            **({} if job is None else {"reading": self.reading(job)}),
        }
        usage = {"usage": None} if self._wants_usage() else {}
        return server_sent_event({**self._head, "object": "chat.completion.chunk", "choices": [choice], **usage})

    def last_chunk(self) -> str:
        """The usage, where it was asked for, and the end of the stream."""
        usage = ""
        if self._wants_usage():
            chunk = {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": self.usage()}
            usage = server_sent_event(chunk)
        return usage + "data: [DONE]\n\n"

    def usage(self) -> dict[str, int]:
        prompt = len(self.jobs[0].prompt) if self.jobs else 0
        completion = sum(len(job.state.tokens) for job in self.jobs)
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    def _wants_usage(self) -> bool:
        return bool(self.body.stream_options and self.body.stream_options.include_usage)

    def _logprobs(self, events: list[TokenEvent]) -> dict[str, Any] | None:
        if not self.body.logprobs:
            return None
        return {"content": [_token_logprobs(event) for event in events if event.data], "refusal": None}


def _token_logprobs(event: TokenEvent) -> dict[str, Any]:
    chosen = _logprob(event.data.decode("utf-8", "replace"), event.data, event.log_probability)
    return {**chosen, "top_logprobs": [_logprob(*alternative) for alternative in event.alternatives]}


def _logprob(text: str, data: bytes, log_probability: float) -> dict[str, Any]:
    return {"token": text, "logprob": log_probability, "bytes": list(data)}


async def _event_stream(response: ChatResponse, events: AsyncIterator) -> AsyncIterator[str]:
    for number in range(len(response.token_events)):
        yield response.chunk(number, {"role": "assistant", "content": ""})
    try:
        async for number, item in events:
            if isinstance(item, TokenEvent):
                if item.text or (response.body.logprobs and item.data):
                    yield response.chunk(number, {"content": item.text}, item)
                continue
            response.jobs.append(raise_for_outcome(item))
            yield response.chunk(number, {}, job=item)
        yield response.last_chunk()
    except Exception as error:  # noqa: BLE001 - the status has been sent, so every error becomes an event
        yield server_sent_event(api_error(error).body)
