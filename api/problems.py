"""Errors leave as application/problem+json (RFC 9457), or as a page where a person asked."""

from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from psycopg import OperationalError
from psycopg.errors import QueryCanceled
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException

from api.paging import BadCursor
from field_service.application import MoveRefused
from foremend.errors import Conflict, ForemendError, NotFound, Remedy, Unavailable

MEDIA_TYPE: Final = "application/problem+json"
_TYPE: Final = "urn:foremend:problem:"


class SignInRequired(ForemendError):
    """Sign in first, or send a bearer token."""

    remedy = Remedy.REJECT


class Forbidden(ForemendError):
    """This account's role does not allow it."""

    remedy = Remedy.REJECT


class ForeignForm(ForemendError):
    """The request did not come from a page of this console: load the page again and retry."""

    remedy = Remedy.REJECT


class TooManyAttempts(ForemendError):
    """Too many failed attempts: wait a quarter of an hour."""

    remedy = Remedy.RETRY


class VersionRequired(ForemendError):
    """Say which version you decide on: send If-Match with the ETag that was read."""

    remedy = Remedy.REJECT


class VersionPassed(ForemendError):
    """It has changed since it was read: load it again and decide anew."""

    remedy = Remedy.REJECT


class BadRequest(ForemendError):
    """The request cannot be understood."""

    remedy = Remedy.REJECT


class KeyReused(ForemendError):
    """This Idempotency-Key was used for another request: take a new one."""

    remedy = Remedy.REJECT


class ClaimRefused(ForemendError):
    """This claim gives no credentials: have a new token made."""

    remedy = Remedy.REJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is told about an error."""

    status: int
    code: str
    title: str
    detail: str
    extra: dict[str, Any] | None = None

    def body(self, instance: str) -> dict[str, Any]:
        """Give the members of the problem document."""
        return {
            "type": _TYPE + self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            **(self.extra or {}),
        }


_KINDS: Final[tuple[tuple[type[ForemendError], int, str, str], ...]] = (
    (SignInRequired, 401, "sign_in_required", "Not signed in"),
    (Forbidden, 403, "forbidden", "Not allowed"),
    (ClaimRefused, 403, "claim_refused", "Claim refused"),
    (ForeignForm, 403, "foreign_form", "Foreign form"),
    (NotFound, 404, "not_found", "Not found"),
    (MoveRefused, 409, "move_refused", "Move refused"),
    (Conflict, 409, "conflict", "Conflict"),
    (VersionPassed, 412, "version_passed", "Changed meanwhile"),
    (KeyReused, 422, "key_reused", "Idempotency key reused"),
    (VersionRequired, 428, "version_required", "Version required"),
    (TooManyAttempts, 429, "too_many_attempts", "Too many attempts"),
    (BadCursor, 400, "bad_cursor", "Bad cursor"),
    (BadRequest, 400, "bad_request", "Bad request"),
    (Unavailable, 503, "unavailable", "Not available"),
)


UNFORESEEN: Final = Problem(
    status=500,
    code="internal",
    title="Internal error",
    detail="This should not have happened; the server's log says more.",
)


def of_error(error: ForemendError) -> Problem:
    """Give the problem for one of our errors; what has no row follows from its remedy."""
    for kind, status, code, title in _KINDS:
        if isinstance(error, kind):
            return Problem(status=status, code=code, title=title, detail=str(error))
    if error.remedy is Remedy.REJECT:
        return Problem(status=422, code="refused", title="Refused", detail=str(error))
    if error.remedy is Remedy.RETRY:
        return Problem(status=503, code="unavailable", title="Not available", detail=str(error))
    return UNFORESEEN


def of_validation(error: RequestValidationError) -> Problem:
    """Give the problem for a request of the wrong form; names each wrong field."""
    wrong = [{"field": ".".join(map(str, e["loc"])), "message": e["msg"]} for e in error.errors()]
    return Problem(
        status=422,
        code="invalid",
        title="Invalid request",
        detail="; ".join(f"{w['field']}: {w['message']}" for w in wrong),
        extra={"errors": wrong},
    )


def of_http(error: HTTPException) -> Problem:
    """Give the problem for an error of the framework, such as an unknown path."""
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http")
    return Problem(
        status=error.status_code, code=code, title=str(error.detail), detail=str(error.detail)
    )


def of_database(error: OperationalError) -> Problem:
    """Give the problem for a database that does not answer, or not in time."""
    slow = isinstance(error, QueryCanceled | PoolTimeout)
    detail = "the database took too long" if slow else "the database does not answer"
    return Problem(status=503, code="unavailable", title="Not available", detail=detail)


def respond(request: Request, problem: Problem) -> Response:
    """Give the problem document."""
    return JSONResponse(
        jsonable_encoder(problem.body(request.url.path)),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=_headers(problem),
    )


def _headers(problem: Problem) -> dict[str, str]:
    match problem.status:
        case 401:
            return {"WWW-Authenticate": "Bearer"}
        case 429:
            return {"Retry-After": "900"}
        case 503:
            return {"Retry-After": "5"}
    return {}
