"""`POST /v1/read`: one image file in; LaTeX, MathML and confidence out, at once or token by token. `POST /v1/prepared`:
the image as the model reads it."""

import json
import math
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from texlens.inference.decoding.sampling import Sampling
from texlens.inference.output_formats import confidence_of
from texlens.inference.scheduling.job import GenerationJob, TokenEvent
from texlens.latex.mathml import to_mathml
from texlens.latex.read_formula import formula_of
from texlens.serve.errors import ApiError, api_error
from texlens.serve.schemas import (
    ERRORS,
    MaxTokens,
    MinP,
    Name,
    PreparedResponse,
    ReadResponse,
    RepetitionPenalty,
    Temperature,
    Text,
    TokenForm,
    TopK,
    TopP,
)
from texlens.serve.service import GenerationRequest, InferenceService, TokenStream, raise_for_outcome

EVENT_STREAM = "text/event-stream"


def router(service: InferenceService) -> APIRouter:
    routes = APIRouter(tags=["read"])

    @routes.post("/v1/read", response_model=ReadResponse, responses=ERRORS)
    async def read(
        request: Request,
        file: Annotated[UploadFile, File(description="The image.")],
        model: Annotated[Name | None, Form()] = None,
        prompt: Annotated[Text | None, Form()] = None,
        system: Annotated[Text | None, Form()] = None,
        question: Annotated[Text | None, Form(description="Old name of prompt.", deprecated=True)] = None,
        max_tokens: Annotated[MaxTokens | None, Form()] = None,
        temperature: Annotated[Temperature, Form()] = 0.0,
        top_p: Annotated[TopP, Form()] = 1.0,
        min_p: Annotated[MinP, Form()] = 0.0,
        top_k: Annotated[TopK, Form()] = 0,
        repetition_penalty: Annotated[RepetitionPenalty, Form()] = 1.0,
        grammar: Annotated[bool, Form(description="Only tokens that a formula can go on with.")] = False,
        clean: Annotated[bool, Form(description="Remove code fences, prose and math delimiters.")] = True,
        stream: Annotated[bool, Form()] = False,
    ) -> Any:
        """Read one image."""
        start = time.monotonic()
        loaded = service.scheduler.model(model or None)
        if prompt and question:
            raise ApiError(422, "invalid_value", "question: the old name of prompt; send one of the two", "question")
        for name, text in (("prompt", prompt), ("question", question), ("system", system)):
            service.check_text(text, name)
        sampling = Sampling(
            service.max_tokens(loaded.name, max_tokens),
            temperature or None,
            top_p,
            min_p,
            top_k,
            repetition_penalty,
            grammar=grammar,
        )
        generation = GenerationRequest(
            await file.read(), loaded.name, prompt or question or None, system or None, sampling
        )
        tokens = TokenStream(1, tokens=stream)
        jobs = await service.submit(generation, tokens)
        events = tokens.events(request, jobs)
        if stream:
            return StreamingResponse(_event_stream(service, events, start, clean), media_type=EVENT_STREAM)
        async for _ in events:
            continue  # to the end of the job, or until the client leaves
        job = raise_for_outcome(jobs[0])
        return await run_in_threadpool(_json_answer, service, job, start, clean)

    @routes.post("/v1/prepared", response_model=PreparedResponse, responses=ERRORS)
    async def prepared(
        file: Annotated[UploadFile, File(description="The image.")], model: Annotated[Name | None, Form()] = None
    ) -> PreparedResponse:
        """The image as the model reads it, without reading it."""
        name = service.scheduler.model(model or None).name
        sample = await service.prepared(await file.read(), name)
        image = b64encode(sample.sample.image.encoded()).decode() if sample.steps else None
        return PreparedResponse(steps=list(sample.steps), image=image, model=name)

    return routes


def token_events_of(job: GenerationJob) -> list[TokenEvent]:
    """The tokens of a finished job: an event for each, on its way through the event loop, would take longer than the
    model."""
    pairs = zip(job.state.token_texts, job.state.log_probabilities, strict=True)
    return [TokenEvent(text, b"", log_probability) for text, log_probability in pairs]


def _json_answer(service: InferenceService, job: GenerationJob, start: float, clean: bool) -> Response:
    """The answer as it is sent: in the event loop it would be checked against its schema once more."""
    answer = read_response(service, job, token_events_of(job), start, clean)
    return Response(answer.model_dump_json(), media_type="application/json")


def read_response(
    service: InferenceService, job: GenerationJob, token_events: list[TokenEvent], start: float, clean: bool = True
) -> ReadResponse:
    """The answer for a finished job; `start` is the time of the request on the monotonic clock."""
    formula = formula_of(job.text, clean)
    calibration = service.scheduler.model(job.model).calibration
    mathml, problem = to_mathml(formula.text)
    return ReadResponse(
        latex=formula.latex,
        raw=job.text,
        removed=list(formula.removed),
        valid=formula.valid,
        problem=formula.problem,
        mathml=mathml,
        mathml_problem=problem,
        confidence=confidence_of(formula, calibration, job.state.log_probability),
        tokens=[TokenForm(text=event.text, probability=_probability(event)) for event in token_events if event.text],
        stop=job.state.stop,
        milliseconds=round((time.monotonic() - start) * 1000, 1),
        model=job.model,
        prepared=list(job.steps),
    )


async def _event_stream(
    service: InferenceService, events: AsyncIterator, start: float, clean: bool
) -> AsyncIterator[str]:
    token_events: list[TokenEvent] = []
    async for _, item in events:
        if isinstance(item, TokenEvent):
            token_events.append(item)
            if item.text:
                yield server_sent_event({"text": item.text, "probability": _probability(item)})
            continue
        try:
            job = raise_for_outcome(item)
            response = await run_in_threadpool(read_response, service, job, token_events, start, clean)
            yield server_sent_event({"done": response.model_dump()})
        except Exception as error:  # noqa: BLE001 - the status has been sent, so every error becomes an event
            yield server_sent_event(api_error(error).body)


def _probability(event: TokenEvent) -> float:
    return round(math.exp(event.log_probability), 6)


def server_sent_event(value: Any) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"
