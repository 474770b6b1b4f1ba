"""Errors in OpenAI's form, whatever went wrong and wherever. The status follows from an error's type and `kind`."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from texlens.core.errors import SPECIAL_TOKEN, TOO_LARGE, DataError, ModelError, one_line
from texlens.inference.scheduling.job import QueueFullError, StoppingError

_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 408: "request_timeout"}
_TYPES = {401: "authentication_error", 429: "rate_limit_error"}
_DATA_ERRORS = {TOO_LARGE: (413, "too_large"), SPECIAL_TOKEN: (422, "invalid_value")}


class ApiError(Exception):
    """An error answer: status, code, one line, and the field it is about."""

    def __init__(
        self, status: int, code: str, message: str, param: str | None = None, headers: dict[str, str] | None = None
    ):
        super().__init__(message)
        self.status, self.code, self.message, self.param, self.headers = status, code, message, param, headers

    @property
    def body(self) -> dict[str, Any]:
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def response(self) -> JSONResponse:
        return JSONResponse(self.body, self.status, headers=self.headers)


def api_error(error: Exception) -> ApiError:
    """The answer to one of our own errors; anything else is a bug, of which the client learns nothing."""
    if isinstance(error, ApiError):
        return error
    message = one_line(error)
    if isinstance(error, QueueFullError):
        return ApiError(429, "queue_full", message, headers={"Retry-After": str(error.retry_after_s)})
    if isinstance(error, StoppingError):
        return ApiError(503, "stopping", message, headers={"Retry-After": "5"})
    if isinstance(error, ModelError):
        return ApiError(404, "model_not_found", message, "model")
    if isinstance(error, DataError):
        return data_api_error(error, None)
    return ApiError(500, "internal_error", "the server failed; its log says more")


def data_api_error(error: DataError, param: str | None, code: str = "bad_request") -> ApiError:
    """The answer to input that can't be used: the status is that of the error's kind, else 400 with `code`."""
    status, code = _DATA_ERRORS.get(error.kind, (400, code))
    return ApiError(status, code, one_line(error), "prompt" if error.kind == SPECIAL_TOKEN else param)


def add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    @app.exception_handler(QueueFullError)
    @app.exception_handler(StoppingError)
    @app.exception_handler(ModelError)
    @app.exception_handler(DataError)
    async def own_error(_: Request, error: Exception) -> JSONResponse:
        return api_error(error).response

    @app.exception_handler(RequestValidationError)
    async def invalid_request(_: Request, error: RequestValidationError) -> JSONResponse:
        return validation_error(error).response

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> JSONResponse:
        return http_api_error(error).response

    @app.exception_handler(Exception)
    async def bug(_: Request, error: Exception) -> JSONResponse:
        return api_error(error).response


def http_api_error(error: HTTPException) -> ApiError:
    """The answer to a path or a method that doesn't exist."""
    code = _CODES.get(error.status_code, "bad_request")
    headers = dict(error.headers) if error.headers else None
    return ApiError(error.status_code, code, str(error.detail), headers=headers)


def validation_error(error: RequestValidationError) -> ApiError:
    """The first of the fields that are wrong, by its path in the request, and what to send instead."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return ApiError(400, "bad_request", "the body is not valid JSON; send one JSON object")
    param = ".".join(_path(first["loc"], error.body, first["type"] == "missing")) or None
    return ApiError(422, "invalid_value", f"{param or 'body'}: {_fault(first, param or '')}", param)


def _path(location: Sequence[str | int], body: Any, is_missing: bool) -> list[str]:
    """The keys and numbers of a location that are in the body, without the names of alternatives of our schema."""
    path: list[str] = []
    value = body
    parts = [part for part in location if part not in ("body", "query")]
    for number, part in enumerate(parts):
        if (isinstance(value, Mapping) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        ):
            value = value[part]
        elif isinstance(body, Mapping | list) and not (is_missing and number == len(parts) - 1):
            continue
        path.append(str(part)[:80])
    return path


def _fault(first: Mapping[str, Any], param: str) -> str:
    field = next((part for part in reversed(param.split(".")) if not part.isdecimal()), "")
    if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return 'the type of a part is "text" or "image_url"'
    if first["type"] == "too_long":
        limits = first.get("ctx", {})
        count, most = limits.get("actual_length"), limits.get("max_length")
        return f"{count} entries; send at most {most}"
    remedy = _REMEDIES.get(field)
    message = {"missing": "it is missing"}.get(first["type"], first["msg"][:1].lower() + first["msg"][1:])
    return f"{message}; {remedy}" if remedy else message


_REMEDIES = {
    "content": 'send a text, or a list of parts such as {"type": "text", "text": "..."}',
    "image_url": 'send an object such as {"url": "data:image/png;base64,..."}',
    "url": "send a data URL of the image, such as data:image/png;base64,...",
    "text": "send a text",
    "role": "send system, developer, user or assistant",
    "messages": "send a list with one user's message that holds the image",
    "stop": "send a text, or a list of at most 4",
    "file": "send the image as the form field file",
}
"""Field → what to send."""
