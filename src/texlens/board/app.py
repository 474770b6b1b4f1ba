"""The board's web application: its pages, their routes, and what guards them.

Example:
    serve(create_app(open_workspace(Path("runs"))), ServeSettings(), bound)
"""

from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from jinja2 import Template
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from texlens.board.page_language import PageLanguage
from texlens.board.pages.protocol import BoardPage
from texlens.board.pages.registry import PAGES
from texlens.board.token_check import TokenCheck
from texlens.board.workspace import Workspace
from texlens.core.errors import DataError, ModelError, TexlensError, one_line
from texlens.core.language import translated
from texlens.core.version import VERSION
from texlens.html.template import page_environment
from texlens.serve.assets import HEADERS, Asset, asset_routes, assets_of
from texlens.serve.errors import ApiError, add_error_handlers, api_error, http_api_error, validation_error
from texlens.serve.middleware.admission import AdmissionGate
from texlens.serve.middleware.origin import OriginCheck
from texlens.serve.middleware.request_limits import RequestLimits
from texlens.serve.settings import ServeSettings
from texlens.serve.web_ui import Formula, RenderedFormula, render_formula

SHARED_FILES = (
    "dom.js",
    "early.js",
    "formula.js",
    "locales.js",
    "locales/problems.zh.js",
    "mark.svg",
    "page.css",
    "requests.js",
)
"""Of `texlens ui`'s page; the board's files are beside them under `/ui/`."""


def create_app(workspace: Workspace, settings: ServeSettings | None = None) -> FastAPI:
    settings = settings or ServeSettings()
    app = FastAPI(title="TexLens board", version=VERSION, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.gate = AdmissionGate()
    app.state.workspace = workspace
    add_error_handlers(app)
    _add_handler_of_user_errors(app)
    app.include_router(_files())
    for page in PAGES:
        app.include_router(_shell(page, workspace))
        if page.router:
            app.include_router(page.router(workspace))
    # the last one added is the first that a request passes
    app.add_middleware(RequestLimits, settings=settings)  # pyrefly: ignore[bad-argument-type]
    app.add_middleware(PageLanguage)
    app.add_middleware(TokenCheck, workspace=workspace)  # pyrefly: ignore[bad-argument-type]
    app.add_middleware(OriginCheck, hosts=settings.hosts, origins=settings.origins)  # pyrefly: ignore[bad-argument-type]
    return app


def _add_handler_of_user_errors(app: FastAPI) -> None:
    """What a user can fix is an answer with its one line in the page's language, 400 where `serve` has no other status.

    `DataError` and `ModelError` are named because the nearest class decides, and `serve` has handlers for these two.
    """

    @app.exception_handler(DataError)
    @app.exception_handler(ModelError)
    @app.exception_handler(TexlensError)
    async def user_error(_: Request, error: TexlensError) -> JSONResponse:
        is_known = isinstance(error, DataError | ModelError)
        return _answer(api_error(error) if is_known else ApiError(400, "bad_request", one_line(error)))

    @app.exception_handler(RequestValidationError)
    async def invalid_request(_: Request, error: RequestValidationError) -> JSONResponse:
        return _answer(validation_error(error))

    @app.exception_handler(HTTPException)
    async def no_such_page(_: Request, error: HTTPException) -> JSONResponse:
        return _answer(http_api_error(error))


def _answer(error: ApiError) -> JSONResponse:
    error.message = translated(error.message)
    return error.response


def _files() -> APIRouter:
    routes = asset_routes(_assets())

    @routes.post("/api/render", response_model=RenderedFormula)
    async def render(formula: Formula) -> Any:
        return await run_in_threadpool(render_formula, formula.latex)

    return routes


@cache
def _assets() -> dict[str, Asset]:
    shared = assets_of(files("texlens.serve") / "web")
    assets = {name: shared[name] for name in SHARED_FILES}
    assets["base.css"] = Asset(files("texlens.html") / "base.css")
    return assets | assets_of(files("texlens.board") / "web")


@cache
def _frame() -> Template:
    return page_environment("texlens.board", "web").get_template("frame.html.jinja")


def _shell(page: BoardPage, workspace: Workspace) -> APIRouter:
    """The frame that all pages have; a page's script fills it. A token in the URL becomes a cookie."""
    routes = APIRouter()
    template = _frame()

    @routes.get(page.path)
    async def shell(request: Request) -> Response:
        if "token" in request.query_params:
            return _with_cookie(request, workspace)
        token = workspace.token if workspace.has_token(request) else ""
        html = template.render(page=page, pages=PAGES, token=token, folder=str(workspace.folder), version=VERSION)
        return HTMLResponse(html, headers=HEADERS)

    return routes


def _with_cookie(request: Request, workspace: Workspace) -> Response:
    """The same page without the token, so that it does not stay in the history or in a link that is shared."""
    target = request.url.remove_query_params("token")
    response = RedirectResponse(target.path + (f"?{target.query}" if target.query else ""), 303, HEADERS)
    if workspace.has_token(request):
        response.set_cookie(workspace.cookie, workspace.token, httponly=True, samesite="lax", path="/")
    return response
