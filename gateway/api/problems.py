"""Errors as problem documents (RFC 9457): a stable code, one sentence, rule ids; never a stack trace or a name."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from gateway import errors

STATUS = (
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.BadInput, 422),
    (errors.NotSignedIn, 401),
    (errors.NotAllowed, 403),
    (errors.Gone, 410),
    (errors.Unavailable, 503),
    (errors.Tampered, 503),
)


def problem(status: int, code: str, detail: str, **more: Any) -> JSONResponse:
    """One problem document."""
    body = {"type": f"urn:tongguan:problem:{code}", "title": code.replace("_", " "), "status": status}
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {"Retry-After": "2"} if status == 503 else {}
    return JSONResponse(
        {**body, "code": code, "detail": detail, **more},
        status_code=status,
        headers=headers,
        media_type="application/problem+json",
    )


def install(app: FastAPI) -> None:
    """Answer every error of ours, of the framework's and of nobody's as a problem document."""
    app.add_exception_handler(errors.GatewayError, _ours)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(Exception, _unexpected)


def _ours(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.GatewayError)  # noqa: S101  registered for this class alone
    status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
    more: dict[str, Any] = {}
    if isinstance(error, errors.NotAllowed):
        more["rules"] = list(error.rules)
    if isinstance(error, errors.Gone):
        more["successor"] = error.successor
    return problem(status, error.code, str(error), **more)


def _unreadable(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  registered for this class alone
    # Places only: the framework would repeat the value that was sent.
    places = [{"place": ".".join(str(part) for part in e["loc"]), "says": e["type"]} for e in error.errors()]
    return problem(422, "bad_request", "the request does not fit; see places", places=places)


def _framework(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  registered for this class alone
    return problem(error.status_code, "http_error", str(error.detail))


def _unexpected(_request: Request, _error: Exception) -> JSONResponse:
    return problem(500, "unexpected", "something went wrong inside; nothing was handed over by this request")
