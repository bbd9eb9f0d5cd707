"""Errors of the API: every one is ``{"error": {"code", "message", "remedy"}}``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from vadistill.errors import StorageError, VadistillError
from vadistill.serving.settings_file import EditedError


class ErrorDetail(BaseModel):
    """What went wrong, in a word and in a line, and what to do about it."""

    code: str
    message: str
    remedy: str


class ErrorAnswer(BaseModel):
    """The body of every answer with a status of 400 or more."""

    error: ErrorDetail


class ApiError(Exception):
    """An answer other than success; ``headers`` are added to it."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        remedy: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status, self.code, self.message, self.remedy = status, code, message, remedy
        self.headers = dict(headers or {})
        super().__init__(message)

    def answer(self) -> JSONResponse:
        """The error as an answer."""
        return JSONResponse(self.body(), self.status, self.headers)

    def body(self) -> dict[str, dict[str, str]]:
        """The error as plain values."""
        return {"error": {"code": self.code, "message": self.message, "remedy": self.remedy}}


def missing(what: str) -> ApiError:
    """404 for something that is not, or no longer, there."""
    return ApiError(
        404, "not_found", f"no such {what}", "reload the list: it may have been removed"
    )


REMEDIES = {
    400: "correct the request; /openapi.json describes it",
    404: "check the address; /openapi.json lists all",
    405: "use a method that /openapi.json lists for this address",
    416: "ask for a range inside the file",
}


def from_status(status: int, headers: Mapping[str, str] | None = None) -> ApiError:
    """An error that says no more than its HTTP status does."""
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error"
    remedy = REMEDIES.get(status, REMEDIES[400] if status < 500 else "look at the server's log")
    return ApiError(status, phrase.lower().replace(" ", "_"), phrase, remedy, headers)


def from_user_error(error: VadistillError) -> ApiError:
    """A project error: 503 for storage, 409 for a settings file edited by hand, 422 otherwise."""
    status = 503 if isinstance(error, StorageError) else 422
    status = 409 if isinstance(error, EditedError) else status
    code = type(error).__name__.removesuffix("Error").lower()
    message = " ".join(f"{error.got}: expected {error.expected}".split())
    return ApiError(status, code, message, error.fix)


def from_validation(error: RequestValidationError) -> ApiError:
    """422 that names the first entry that is wrong, without repeating its value."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    if first["type"] == "json_invalid":
        where = "body"
    message = f"{where}: {first['msg']}"[:300]
    return ApiError(422, "invalid", message, f"correct {where}; /openapi.json describes it")


def add_error_handlers(app: FastAPI) -> None:
    """Give every error of ``app`` the one shape."""

    def api_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return error.answer()

    def user_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, VadistillError)
        return from_user_error(error).answer()

    def validation(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return from_validation(error).answer()

    def status(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return from_status(error.status_code, error.headers).answer()

    app.add_exception_handler(ApiError, api_error)
    app.add_exception_handler(VadistillError, user_error)
    app.add_exception_handler(RequestValidationError, validation)
    app.add_exception_handler(HTTPException, status)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors an address may answer with, for the OpenAPI document."""
    common = (400, 401, 403, 405, 408, 413, 421, 422, 429, 500, 503)
    return {
        status: {"model": ErrorAnswer, "description": HTTPStatus(status).phrase}
        for status in sorted({*common, *statuses})
    }


def reply(data: Any, status: int = 200) -> Response:
    """``data`` as JSON; arrays become lists, and what is not finite becomes null."""
    return Response(dumps(data), status, media_type="application/json")


def dumps(data: Any) -> str:
    """JSON text of ``data``, as ``reply`` sends it."""
    try:
        return json.dumps(data, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError):
        return json.dumps(_plain(data), allow_nan=False, separators=(",", ":"))


def _plain(data: Any) -> Any:
    if hasattr(data, "tolist"):
        data = data.tolist()
    if isinstance(data, Mapping):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
