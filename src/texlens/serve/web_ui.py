"""The web page on a server: its own files by name, and rendering of an edited formula."""

from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.concurrency import run_in_threadpool
from starlette.middleware.trustedhost import TrustedHostMiddleware

from texlens.core.errors import LatexError
from texlens.latex.layout.boxes import Layout
from texlens.latex.layout.formula import layout
from texlens.latex.mathml import to_mathml
from texlens.latex.render.svg import to_svg
from texlens.serve.assets import Asset, asset_routes, assets_of

MAX_CHARACTERS = 20_000
HOSTS = ("127.0.0.1", "localhost")
"""Names by which a browser reaches the page; a host name of another page that resolves to this machine is refused."""


class Formula(BaseModel):
    model_config = ConfigDict(extra="forbid")
    latex: Annotated[str, StringConstraints(max_length=MAX_CHARACTERS)]


class RenderedFormula(BaseModel):
    """`svg` is null, and `problem` says why, where the formula can't be drawn; both are null for an empty one."""

    svg: str | None = None
    mathml: str | None = None
    problem: str | None = None


def add_page(app: FastAPI) -> None:
    """The page at `/`, its files and `/ui/render` under `/ui`, for requests to this machine only."""
    app.include_router(_router())
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS), www_redirect=False)  # pyrefly: ignore[bad-argument-type]


def render_formula(latex: str) -> RenderedFormula:
    """The formula as the page shows it: a picture in the color of its text, and MathML for screen readers."""
    if not latex.strip():
        return RenderedFormula()
    try:
        svg = _without_style(layout(latex))
    except LatexError as error:
        return RenderedFormula(problem=str(error))
    return RenderedFormula(svg=svg, mathml=to_mathml(latex)[0])


def _without_style(placed: Layout) -> str:
    """The page's policy forbids style attributes; the baseline that this one sets has no effect in a block."""
    before, _, after = to_svg(placed).partition(' style="')
    return before + after.partition('"')[2]


def _router() -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    assets = _assets()
    routes.include_router(asset_routes(assets))

    @routes.get("/")
    async def page(request: Request) -> Response:
        return assets["index.html"].answer(request)

    @routes.post("/ui/render", response_model=RenderedFormula)
    async def render(formula: Formula) -> Any:
        return await run_in_threadpool(render_formula, formula.latex)

    return routes


def _assets() -> dict[str, Asset]:
    """By the name after `/ui/`; colors and type are those of the reports."""
    return {"base.css": Asset(files("texlens.html") / "base.css"), **assets_of(files("texlens.serve") / "web")}
