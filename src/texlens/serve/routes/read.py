"""`POST /v1/read`: one image file in, LaTeX, MathML and confidence out, at once or token by token."""

import json
import math
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from texlens.inference.job import Job, Spoken
from texlens.inference.sampling import Sampling
from texlens.latex.canonical.readable import readable
from texlens.latex.mathml import to_mathml
from texlens.serve.errors import fault_of
from texlens.serve.schemas import ERRORS, Reading, TokenForm
from texlens.serve.service import Asked, Listener, Office, ended_well

EVENTS = "text/event-stream"


def router(office: Office) -> APIRouter:
    routes = APIRouter(tags=["read"])

    @routes.post("/v1/read", response_model=Reading, responses=ERRORS)
    async def read(
        request: Request,
        file: Annotated[UploadFile, File(description="The image.")],
        model: Annotated[str | None, Form()] = None,
        question: Annotated[str | None, Form()] = None,
        max_tokens: Annotated[int | None, Form(ge=1)] = None,
        temperature: Annotated[float, Form(ge=0, le=2, allow_inf_nan=False)] = 0.0,
        stream: Annotated[bool, Form()] = False,
    ) -> Any:
        """Read one image."""
        began = time.monotonic()
        served = office.engine.served(model or None)
        office.check_text(question, "question")
        sampling = Sampling(office.max_tokens(served.name, max_tokens), temperature or None)
        asked = Asked(await file.read(), served.name, question or None, sampling=sampling)
        listener = Listener(1, tokens=True)
        jobs = await office.ask(asked, listener)
        events = listener.events(request, jobs)
        if stream:
            return StreamingResponse(_events(office, events, began), media_type=EVENTS)
        spoken: list[Spoken] = []
        async for _, said in events:
            if isinstance(said, Spoken):
                spoken.append(said)
        return await run_in_threadpool(reading_of, office, ended_well(jobs[0]), spoken, began)

    return routes


def reading_of(office: Office, job: Job, spoken: list[Spoken], began: float) -> Reading:
    text = job.text
    calibration = office.engine.served(job.model).calibration
    mathml, problem = to_mathml(text)
    return Reading(
        latex=readable(text),
        raw=text,
        mathml=mathml,
        mathml_problem=problem,
        confidence=None if calibration is None else round(calibration.confidence(job.row.log_probability), 4),
        tokens=[
            TokenForm(text=said.text, probability=round(math.exp(said.log_probability), 6))
            for said in spoken
            if said.text
        ],
        stop=job.row.stop,
        milliseconds=round((time.monotonic() - began) * 1000, 1),
        model=job.model,
    )


async def _events(office: Office, events: AsyncIterator, began: float) -> AsyncIterator[str]:
    spoken: list[Spoken] = []
    async for _, said in events:
        if isinstance(said, Spoken):
            spoken.append(said)
            if said.text:
                yield event({"text": said.text, "probability": round(math.exp(said.log_probability), 6)})
            continue
        try:
            made = await run_in_threadpool(reading_of, office, ended_well(said), spoken, began)
            yield event({"done": made.model_dump()})
        except Exception as error:  # noqa: BLE001 - the status is long sent, so every error becomes an event
            yield event(fault_of(error).body)


def event(value: Any) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"
