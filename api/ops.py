"""Whether the process lives, whether it is ready, and its metrics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import psycopg
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from psycopg_pool import PoolTimeout

from api.server import server_of
from foremend.db import Queries
from foremend.db.bootstrap import newest_revision

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SQL: Final = Queries.load("api", "ops.sql")
router: Final = APIRouter(include_in_schema=False)
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REST: Final = "/api/v1"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)


class Metrics:
    """The process's metrics, in a registry of their own: a second app in one process is fine."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "foremend_api_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "foremend_api_request_seconds",
            "Seconds to the first byte of the answer.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.streams = Gauge(
            "foremend_api_streams", "Event streams that are open.", registry=self.registry
        )


class Observed:
    """ASGI middleware: security headers on every answer, and one count for each."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()

        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with_headers(message["headers"], scope["path"])
                self._count(scope, message["status"], time.perf_counter() - begun)
            await send(message)

        await self._app(scope, receive, observed)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        # The route's template, not the path: names of devices are no labels.
        route = getattr(scope.get("route"), "path", "unmatched")
        if scope["path"].startswith(REST) and not route.startswith(REST):
            route = REST + route
        method = scope["method"]
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.seconds.labels(method, route).observe(seconds)


def _with_headers(headers: list[Any], path: str) -> list[Any]:
    present = {name.lower() for name, _ in headers}
    wanted = list(_HEADERS)
    if not path.startswith("/static/"):
        wanted.append((b"cache-control", b"no-store"))
    return [*headers, *(pair for pair in wanted if pair[0] not in present)]


@router.get("/healthz")
def healthz() -> Response:
    """Say that the process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
def readyz(request: Request) -> Response:
    """Say whether requests can be served: database, its schema, and the listening connection."""
    server = server_of(request)
    checks = {"database": "ok", "listener": "ok" if server.hub.listening else "not listening"}
    try:
        with server.pool.connection(timeout=2) as connection:
            row = connection.execute(_SQL["revision"]).fetchone()
    except (psycopg.OperationalError, PoolTimeout):
        checks["database"] = "does not answer"
    else:
        found, expected = row["revision"] if row else None, newest_revision()
        if found != expected:
            checks["database"] = f"schema is at {found}, {expected} is expected"
    ready = all(state == "ok" for state in checks.values())
    return JSONResponse(
        {"status": "ready" if ready else "not ready", "checks": checks},
        status_code=200 if ready else 503,
    )


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """Give the metrics in Prometheus' text format."""
    kept = request.app.state.metrics
    assert isinstance(kept, Metrics)  # noqa: S101 - create_app puts it there
    kept.streams.set(server_of(request).hub.clients)
    return Response(generate_latest(kept.registry), media_type=CONTENT_TYPE_LATEST)
