"""The composition root: the app with its parts, and the process that serves it."""

from __future__ import annotations

import contextlib
import socket
import threading
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import psycopg
import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException

from api import (
    alerts,
    commands,
    console,
    devices,
    enrolment,
    forms,
    me,
    model_versions,
    ops,
    order_moves,
    pages,
    problems,
    scopes,
    stream,
    summary,
    telemetry,
    truth,
    work_orders,
)
from api.accounts import Passwords
from api.problems import Problem, SignInRequired
from api.server import Server, server_of
from foremend import ready
from foremend.db import open_pool
from foremend.errors import ConfigurationError, ForemendError
from foremend.log import get_logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from psycopg_pool import ConnectionPool

    from foremend.settings import Settings

    DictConnection = psycopg.Connection[dict[str, Any]]

POOL: Final = 8
GRACE_S: Final = 3
BACKLOG: Final = 256
_REST: Final = (
    me,
    scopes,
    summary,
    devices,
    telemetry,
    alerts,
    work_orders,
    order_moves,
    truth,
    model_versions,
    stream,
    enrolment,
    commands,
)
_log = get_logger(__name__)


def create_app(
    settings: Settings,
    pool: ConnectionPool[DictConnection],
    *,
    passwords: Passwords | None = None,
) -> FastAPI:
    """Make the app; `pool` stays the caller's to close."""
    hub = stream.Hub(settings.database_url.get_secret_value())
    metrics = ops.Metrics()
    app = FastAPI(
        title="Foremend",
        version=_version(),
        summary="Predicted failures, work orders, and the fix on its way.",
        lifespan=_lifespan,
        # The pages for reading the contract load scripts from elsewhere; the contract itself stays.
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.state.metrics = metrics
    app.state.server = Server(
        settings=settings,
        pool=pool,
        hub=hub,
        passwords=passwords or Passwords(),
        templates=console.environment(),
    )
    rest = APIRouter(prefix=ops.REST)
    for module in _REST:
        rest.include_router(module.router)
    for router in (rest, ops.router, forms.router, pages.router):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=str(files("api").joinpath("static"))), "static")
    app.add_middleware(ops.Observed, metrics=metrics)
    _handle_errors(app)
    return app


def run(settings: Settings, stop: threading.Event) -> None:
    """Serve until `stop` is set, in one process.

    Raises:
        ConfigurationError: the address is taken or not ours.
        Unavailable: the database does not answer.
    """
    pool = open_pool(settings.database_url.get_secret_value(), name="api", size=POOL)
    with pool, bound(settings) as listening:
        app = create_app(settings, pool)
        if not console.vendored():
            _log.warning("the console's libraries are missing: run `make setup`")
        host, port = listening.getsockname()[:2]
        _log.info("console and API", url=f"http://{host}:{port}/")
        serve(app, listening, stop)


class _Quiet(uvicorn.Server):
    """A server that leaves signals to whoever made it: `stop` is the one way to end it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(app: FastAPI, listening: socket.socket, stop: threading.Event) -> None:
    """Serve an app on an open socket until `stop` is set; streams are ended first."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        lifespan="on",
    )
    server = _Quiet(config)

    def watch() -> None:
        stop.wait()
        server_of_app(app).hub.close()
        server.should_exit = True

    threading.Thread(target=watch, name="api-stop", daemon=True).start()
    server.run(sockets=[listening])


def server_of_app(app: FastAPI) -> Server:
    """Give the parts that `create_app` put into an app."""
    server = app.state.server
    assert isinstance(server, Server)  # noqa: S101 - create_app puts it there
    return server


@contextlib.contextmanager
def bound(settings: Settings) -> Iterator[socket.socket]:
    """Listen where the settings say.

    Raises:
        ConfigurationError: the address is taken or not ours.
    """
    host, port = settings.api_host, settings.api_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay off only where the protocol is named, as `create_server` does not.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"the console cannot listen on {host}:{port} ({error.strerror}): "
            "set FOREMEND_API_PORT (0 takes any free port) or FOREMEND_API_HOST"
        ) from error
    with listening:
        yield listening


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    hub = server_of_app(app).hub
    hub.open()
    ready.announce()
    try:
        yield
    finally:
        hub.close()
        hub.join()


def _handle_errors(app: FastAPI) -> None:
    def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, ForemendError)  # noqa: S101 - registered for these alone
        problem = problems.of_error(error)
        if problem.status >= 500:  # noqa: PLR2004 - server errors
            _log.error("request failed", path=request.url.path, error=str(error))
        if isinstance(error, SignInRequired) and _for_person(request):
            return _to_sign_in(request)
        return _tell(request, problem)

    def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - likewise
        return _tell(request, problems.of_validation(error))

    def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - likewise
        return _tell(request, problems.of_http(error))

    def database(request: Request, error: Exception) -> Response:
        assert isinstance(error, psycopg.OperationalError | PoolTimeout)  # noqa: S101 - likewise
        _log.error("database lost", path=request.url.path, error=str(error).strip())
        return _tell(request, problems.of_database(error))

    def unforeseen(request: Request, error: Exception) -> Response:  # noqa: ARG001 - logged by uvicorn
        return _tell(request, problems.UNFORESEEN)

    app.add_exception_handler(Exception, unforeseen)
    app.add_exception_handler(ForemendError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(psycopg.OperationalError, database)
    app.add_exception_handler(PoolTimeout, database)


def _for_person(request: Request) -> bool:
    """Tell whether a page was asked for, and not the REST API."""
    return not request.url.path.startswith(("/api/", "/metrics", "/healthz", "/readyz"))


def _tell(request: Request, problem: Problem) -> Response:
    if _for_person(request) and not request.url.path.startswith("/static/"):
        return console.problem_page(request, server_of(request), problem)
    return problems.respond(request, problem)


def _to_sign_in(request: Request) -> Response:
    if request.headers.get("hx-request"):
        # A live page whose session has ended loads anew, and is then asked to sign in.
        return JSONResponse({}, headers={"HX-Refresh": "true"})
    if request.method != "GET":
        return RedirectResponse("/sign-in", status_code=303)
    after = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/sign-in?after={quote(after, safe='')}", 303)


def _version() -> str:
    try:
        return version("foremend")
    except PackageNotFoundError:
        return "0"
