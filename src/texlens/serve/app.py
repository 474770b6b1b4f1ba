"""The web application: routes, limits, key and metrics around a `RequestScheduler`.

Example:
    uvicorn.run(create_app(scheduler, ServeSettings()))
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from starlette.middleware.cors import CORSMiddleware

from texlens.core.version import VERSION
from texlens.inference.scheduling.scheduler import RequestScheduler
from texlens.serve.errors import add_error_handlers
from texlens.serve.metrics import ServerMetrics
from texlens.serve.middleware.access_log import AccessLog
from texlens.serve.middleware.admission import Admission, AdmissionGate
from texlens.serve.middleware.origin import OriginCheck
from texlens.serve.middleware.request_limits import RequestLimits
from texlens.serve.routes import chat, read
from texlens.serve.schemas import ERRORS, ModelEntry, ModelList
from texlens.serve.service import InferenceService
from texlens.serve.settings import ServeSettings


def create_app(scheduler: RequestScheduler, settings: ServeSettings | None = None) -> FastAPI:
    """The server of docs/reference/http-api.md. The caller closes the scheduler."""
    settings = settings or ServeSettings()
    metrics = ServerMetrics(scheduler)
    service = InferenceService(scheduler, settings, metrics)
    app = FastAPI(title="TexLens", version=VERSION, docs_url=None, redoc_url=None, lifespan=_lifespan(service))
    app.state.service = service
    app.state.gate = AdmissionGate()
    add_error_handlers(app)
    app.include_router(chat.router(service))
    app.include_router(read.router(service))
    _add_small_routes(app, service)
    if settings.origins:
        methods = ["GET", "POST"]
        app.add_middleware(
            CORSMiddleware, allow_origins=list(settings.origins), allow_methods=methods, allow_headers=["*"]
        )  # pyrefly: ignore[bad-argument-type]
    # the last one added is the first that a request passes
    app.add_middleware(RequestLimits, settings=settings)  # pyrefly: ignore[bad-argument-type]
    app.add_middleware(Admission, gate=app.state.gate)  # pyrefly: ignore[bad-argument-type]
    app.add_middleware(OriginCheck, hosts=settings.hosts, origins=settings.origins)  # pyrefly: ignore[bad-argument-type]
    app.add_middleware(AccessLog, metrics=metrics)  # pyrefly: ignore[bad-argument-type]
    return app


def _lifespan(service: InferenceService):
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.decoder.close()

    return lifespan


def _add_small_routes(app: FastAPI, service: InferenceService) -> None:
    @app.get("/v1/models", response_model=ModelList, responses=ERRORS, tags=["models"])
    async def models() -> ModelList:
        """What can be named as `model`; the first is the default."""
        return service.model_list

    @app.get("/v1/models/{model:path}", response_model=ModelEntry, responses=ERRORS, tags=["models"])
    async def model(model: str) -> ModelEntry:
        """One model."""
        return service.model_entry(service.scheduler.model(model))

    @app.get("/healthz", tags=["state"])
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["state"], responses={503: {"description": "being stopped"}})
    async def readyz() -> JSONResponse:
        """Requests are accepted."""
        stopping = service.scheduler.is_stopping or app.state.gate.closed
        return JSONResponse({"status": "stopping" if stopping else "ready"}, 503 if stopping else 200)

    @app.get("/metrics", tags=["state"], response_class=Response)
    async def metrics() -> Response:
        """Prometheus."""
        content, media_type = service.metrics.exposition()
        return Response(content, media_type=media_type)
