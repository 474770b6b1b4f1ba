"""The web application: routes, limits, key, metrics around an `Engine`.

Build:  app = create_app(engine, ServeSettings());  uvicorn.run(app)
"""

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from texlens import __version__
from texlens.inference.batching import Engine
from texlens.serve.errors import add_faults
from texlens.serve.metrics import Meters
from texlens.serve.middleware import Door, Gate
from texlens.serve.routes import chat
from texlens.serve.routes import read as reading
from texlens.serve.schemas import ERRORS, ModelList
from texlens.serve.service import Office
from texlens.serve.settings import ServeSettings


def create_app(engine: Engine, settings: ServeSettings | None = None) -> FastAPI:
    """The server of docs/reference/http-api.md. The caller closes the engine."""
    settings = settings or ServeSettings()
    meters = Meters(engine)
    office = Office(engine, settings, meters)
    app = FastAPI(title="TexLens", version=__version__, docs_url=None, redoc_url=None)
    app.state.office = office
    add_faults(app)
    app.include_router(chat.router(office))
    app.include_router(reading.router(office))
    _add_small_routes(app, office)
    app.state.gate = Gate()
    app.add_middleware(Door, settings=settings, meters=meters, gate=app.state.gate)  # pyrefly: ignore[bad-argument-type]
    return app


def _add_small_routes(app: FastAPI, office: Office) -> None:
    engine = office.engine

    @app.get("/v1/models", response_model=ModelList, responses=ERRORS, tags=["models"])
    async def models() -> ModelList:
        """What can be named as `model`; the first is the default."""
        return office.model_list

    @app.get("/healthz", tags=["state"])
    async def healthz() -> dict[str, str]:
        """The process lives."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["state"], responses={503: {"description": "being stopped"}})
    async def readyz() -> JSONResponse:
        """Requests are taken."""
        stopping = engine.stopping or app.state.gate.closed
        return JSONResponse({"status": "stopping" if stopping else "ready"}, 503 if stopping else 200)

    @app.get("/metrics", tags=["state"], response_class=Response)
    async def metrics() -> Response:
        """Prometheus."""
        content, kind = office.meters.exposed()
        return Response(content, media_type=kind)
