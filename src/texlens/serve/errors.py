"""Errors in OpenAI's form, whatever went wrong and wherever."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from texlens.core.errors import DataError, ModelError
from texlens.inference.job import QueueFullError, StoppingError

_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 408: "request_timeout"}


class Fault(Exception):  # noqa: N818 - an answer more than an error
    """An answer that refuses: status, code, one line, the field."""

    def __init__(
        self, status: int, code: str, message: str, param: str | None = None, headers: dict[str, str] | None = None
    ):
        super().__init__(message)
        self.status, self.code, self.message, self.param, self.headers = status, code, message, param, headers

    @property
    def body(self) -> dict[str, Any]:
        kind = "invalid_request_error" if self.status < 500 and self.status != 429 else "server_error"
        kind = {401: "authentication_error", 429: "rate_limit_error"}.get(self.status, kind)
        told = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": told}

    @property
    def response(self) -> JSONResponse:
        return JSONResponse(self.body, self.status, headers=self.headers)


def fault_of(error: Exception) -> Fault:
    """What a caller is told of one of our own errors."""
    if isinstance(error, Fault):
        return error
    message = " ".join(str(error).split())
    if isinstance(error, QueueFullError):
        return Fault(429, "queue_full", message, headers={"Retry-After": str(error.retry_after_s)})
    if isinstance(error, StoppingError):
        return Fault(503, "stopping", message, headers={"Retry-After": "5"})
    if isinstance(error, ModelError):
        return Fault(404, "model_not_found", message, "model")
    if isinstance(error, DataError):
        return Fault(400, "bad_request", message)
    return Fault(500, "internal_error", "the server made a mistake; its log says more")


def add_faults(app: FastAPI) -> None:
    @app.exception_handler(Fault)
    @app.exception_handler(QueueFullError)
    @app.exception_handler(StoppingError)
    @app.exception_handler(ModelError)
    @app.exception_handler(DataError)
    async def ours(_: Request, error: Exception) -> JSONResponse:
        return fault_of(error).response

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return of_validation(error).response

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        code = _CODES.get(error.status_code, "bad_request")
        headers = dict(error.headers) if error.headers else None
        return Fault(error.status_code, code, str(error.detail), headers=headers).response

    @app.exception_handler(Exception)
    async def mistake(_: Request, error: Exception) -> JSONResponse:
        return fault_of(error).response


def of_validation(error: RequestValidationError) -> Fault:
    """The first of the fields that are wrong, by its path."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"] if part not in ("body", "query")]
    param = ".".join(place) or None
    if first["type"] == "json_invalid":
        return Fault(400, "bad_request", "the body is not valid JSON; send one JSON object")
    return Fault(422, "invalid_value", f"{param or 'body'}: {first['msg']}", param)
