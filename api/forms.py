"""What the console's forms send: signing in and out, and moves; each answers with a redirect."""

import re
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from api import accounts, alerts, audit, order_moves, scopes, throttle
from api.access import (
    COOKIE,
    FormWrite,
    OrderReader,
    ServerDep,
    UserDep,
    address_of,
    from_own_page,
    give_cookie,
    needs_https,
    take_cookie,
)
from api.accounts import LONGEST_LOGIN, LONGEST_PASSWORD, User
from api.alerts import Handler, Matcher, NewSilence
from api.console import render
from api.idempotency import once, request_hash
from api.order_moves import MoveRequest, NewOrder, Opener
from api.problems import BadRequest
from api.scopes import WantedDep
from api.server import Server
from api.work_orders import Number
from foremend.db import transaction

router: Final = APIRouter(include_in_schema=False)

_LOCAL: Final = re.compile(r"\A/(?![/\\])[^\\\s]*\Z")
Text = Annotated[str, Form(max_length=500)]


@router.get("/sign-in")
def sign_in_page(
    request: Request, server: ServerDep, after: Annotated[str, Query(max_length=500)] = "/"
) -> Response:
    """Ask who it is."""
    return _sign_in(request, server, after=local_path(after))


@router.post("/sign-in", dependencies=[Depends(from_own_page)])
def sign_in(
    request: Request,
    server: ServerDep,
    login: Annotated[str, Form(max_length=LONGEST_LOGIN)] = "",
    password: Annotated[str, Form(max_length=LONGEST_PASSWORD)] = "",
    after: Text = "/",
) -> Response:
    """Begin a session, or say no without saying which of the two was wrong."""
    address, login = address_of(request), login.strip()
    with server.pool.connection() as connection:
        failures = accounts.failures_of(connection, login, address)
        decision = throttle.decide(failures)
        if decision.action is throttle.Action.REFUSE:
            return _sign_in(request, server, after=local_path(after), login=login, problem="wait")
        user = accounts.verified(connection, server.passwords, login, password)
        if user is None:
            accounts.note_failure(connection, login, address)
            return _sign_in(request, server, after=local_path(after), login=login, problem="wrong")
        with transaction(connection, tenant=user.tenant) as walled:
            token = accounts.open_session(walled, user, address)
            _audit(walled, user, "session.open")
    response = RedirectResponse(local_path(after), status_code=303)
    give_cookie(request, response, token)
    return response


@router.post("/sign-out", dependencies=[FormWrite])
def sign_out(request: Request, server: ServerDep, user: UserDep) -> Response:
    """End the session."""
    with server.work(user) as connection:
        accounts.close_session(connection, request.cookies.get(COOKIE, ""))
        _audit(connection, user, "session.close")
    response = RedirectResponse("/sign-in", status_code=303)
    take_cookie(response)
    return response


@router.post("/work-orders/{number}/moves", dependencies=[FormWrite])
def move_order(
    server: ServerDep,
    user: OrderReader,
    number: Number,
    action: Text,
    version: Annotated[int, Form(ge=1)],
    key: Annotated[str, Form(max_length=128)] = "",
    as_found: Text = "",
    strategy: Text = "",
    assignee: Text = "",
    reason: Text = "",
    note: Text = "",
) -> Response:
    """Move an order as the form says; the hidden version is what the person looked at."""
    body = _parsed(
        MoveRequest,
        action=action,
        as_found=as_found,
        strategy=strategy,
        assignee=assignee,
        reason=reason,
        note=note,
    )
    with server.work(user) as connection:
        once(
            connection,
            user,
            key or None,
            request_hash("move", number, version, body.model_dump()),
            lambda: order_moves.move(connection, server, user, number, version, body),
        )
    return _back(f"/work-orders/{number}", body.action.value)


@router.post("/work-orders", dependencies=[FormWrite])
def open_order(
    server: ServerDep,
    user: Opener,
    wanted: WantedDep,
    device: Text,
    component: Text,
    failure_mode: Text,
    note: Text = "",
) -> Response:
    """Open an order by hand."""
    body = _parsed(
        NewOrder, device=device, component=component, failure_mode=failure_mode, note=note
    )
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        answer = order_moves.open_by_hand(connection, user, scope, body)
    return _back(f"/work-orders/{answer.body['number']}", "opened")


@router.post("/alerts/{alert_id}/acknowledge", dependencies=[FormWrite])
def acknowledge(
    server: ServerDep, user: Handler, alert_id: alerts.Id, note: Text = "", back: Text = ""
) -> Response:
    """Say that somebody looks after an alert."""
    with server.work(user) as connection:
        alerts.scope_of(connection, user, alert_id)
        alerts.acknowledge(connection, user, alert_id, note=note)
    return _back(local_path(back) if back else f"/alerts/{alert_id}", "acknowledged")


@router.post("/silences", dependencies=[FormWrite])
def add_silence(
    server: ServerDep,
    user: Handler,
    wanted: WantedDep,
    reason: Text,
    hours: Annotated[float, Form(gt=0)],
    device: Text = "",
    component: Text = "",
    failure_mode: Text = "",
) -> Response:
    """Be quiet about what matches."""
    matcher = _parsed(Matcher, device=device, component=component, failure_mode=failure_mode)
    body = _parsed(NewSilence, matcher=matcher, reason=reason, hours=hours)
    with server.work(user) as connection:
        alerts.silence(connection, scopes.resolve(connection, user, wanted), user, body)
    return _back("/alerts", "silenced")


@router.post("/silences/{silence_id}/end", dependencies=[FormWrite])
def end_silence(
    server: ServerDep, user: Handler, wanted: WantedDep, silence_id: alerts.Id
) -> Response:
    """End a silence now."""
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        alerts.end_silence(connection, scope, user, silence_id)
    return _back("/alerts", "silence_ended")


def local_path(text: str) -> str:
    """Give a path of this console, and `/` for anything that could lead elsewhere.

    >>> local_path("//elsewhere.example/")
    '/'
    """
    return text if _LOCAL.match(text) else "/"


def _parsed(model: Any, **values: Any) -> Any:  # noqa: ANN401 - one of three request bodies
    """Check a form's values as the REST API checks its bodies; an empty field is left out."""
    try:
        return model.model_validate({k: v for k, v in values.items() if v != ""})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise BadRequest(wrong) from error


def _sign_in(
    request: Request, server: Server, *, after: str, login: str = "", problem: str = ""
) -> Response:
    status = {"": 200, "wrong": 401, "wait": 429}[problem]
    insecure = needs_https(request) and request.url.scheme != "https"
    return render(
        request,
        server,
        "sign_in.html",
        status=status,
        context={"after": after, "login": login, "problem": problem, "insecure": insecure},
    )


def _back(path: str, done: str) -> Response:
    joint = "&" if "?" in path else "?"
    return RedirectResponse(f"{path}{joint}{urlencode({'done': done})}", status_code=303)


def _audit(connection: Any, user: User, action: str) -> None:  # noqa: ANN401
    audit.note(
        connection, tenant=user.tenant, actor=user.login, action=action, subject=f"user/{user.id}"
    )
