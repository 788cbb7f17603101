"""How the console's pages are rendered: templates, filters, and what every page needs."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from api import accounts, facts, scopes, story, wording
from api.access import COOKIE
from api.roles import Permission

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from fastapi import Request

    from api.accounts import User
    from api.devices import Channel
    from api.problems import Problem
    from api.scopes import Scope
    from api.server import Server

LAG: Final = timedelta(hours=6)
VENDOR: Final = ("htmx.min.js", "uPlot.esm.js", "uPlot.min.css")
DONE: Final = {
    "accept": "Order accepted.",
    "ship": "Kit marked as shipped.",
    "start": "Work begun.",
    "fit": "Part fitted; telemetry is now watched.",
    "hold": "Order put on hold.",
    "resume": "Order resumed.",
    "choose": "Strategy chosen.",
    "cancel": "Order cancelled.",
    "cannot_complete": "Noted that it cannot be completed.",
    "opened": "Order opened.",
    "acknowledged": "Alert acknowledged.",
    "silenced": "Silence added.",
    "silence_ended": "Silence ended.",
}
_NAVIGATION: Final = (
    ("/", "Overview", "pulse", Permission.READ_FLEET),
    ("/devices", "Devices", "device", Permission.READ_FLEET),
    ("/alerts", "Alerts", "bell", Permission.READ_FLEET),
    ("/work-orders", "Orders", "wrench", Permission.READ_ORDERS),
    ("/truth", "Truth", "target", Permission.READ_TRUTH),
    ("/models", "Models", "layers", Permission.READ_MODELS),
)


def environment() -> Environment:
    """Give the templates' environment: autoescaping, and a missing name is an error."""
    made = Environment(
        loader=PackageLoader("api", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("words", "title", "unit", "number", "quantity", "percent", "hours", "money"):
        made.filters[name] = getattr(wording, name)
    made.filters["ago"] = ago
    made.filters["iso"] = iso
    made.tests["long_before"] = lags
    made.globals["facts"] = facts.facts
    made.globals["headline"] = facts.headline
    made.globals["trial_rows"] = facts.trial_rows
    made.globals["names"] = channel_names
    made.globals["span"] = wording.span
    made.globals["subject"] = story.subject
    made.globals["assets"] = _fingerprint()
    made.globals["vendored"] = vendored()
    return made


def vendored() -> bool:
    """Tell whether the browser's libraries have been installed (`make setup` does it)."""
    folder = files("api").joinpath("static", "vendor")
    return all(folder.joinpath(name).is_file() for name in VENDOR)


def channel_names(channels: Iterable[Channel]) -> str:
    """Give the channels' names in words as JSON, for the scripts that draw them."""
    return json.dumps({channel.name: wording.words(channel.name) for channel in channels})


def ago(moment: datetime | None, now: datetime) -> str:
    """Say how long before `now` a moment was."""
    if moment is None:
        return "never"
    passed = (now - moment).total_seconds() / 3600
    if passed < 1 / 60:
        return "now"
    return f"{wording.hours(passed)} ago"


def lags(moment: datetime | None, now: datetime) -> bool:
    """Tell whether scoring has fallen so far behind that its last word is no longer news."""
    return moment is not None and now - moment > LAG


def iso(moment: datetime) -> str:
    """Give a moment for a `time` element."""
    return moment.isoformat(timespec="milliseconds")


def render(
    request: Request,
    server: Server,
    template: str,
    *,
    context: Mapping[str, object],
    user: User | None = None,
    scope: Scope | None = None,
    status: int = 200,
) -> Response:
    """Render one page; a timeline that was just chosen is kept in a cookie."""
    done = DONE.get(request.query_params.get("done", ""))
    html = server.templates.get_template(template).render(
        user=user,
        scope=scope,
        path=request.url.path,
        query=request.url.query,
        navigation=_navigation(server, user),
        form_token=accounts.form_token(request.cookies.get(COOKIE, "")),
        done=done,
        may=Permission.__members__,
        **context,
    )
    response = HTMLResponse(html, status_code=status)
    if scope is not None and request.query_params.get("timeline") == scope.timeline:
        response.set_cookie(scopes.COOKIE, scope.timeline, httponly=True, samesite="lax", path="/")
    return response


def problem_page(request: Request, server: Server, problem: Problem) -> Response:
    """Render an error for a person."""
    return render(
        request, server, "problem.html", status=problem.status, context={"problem": problem}
    )


def _navigation(server: Server, user: User | None) -> list[tuple[str, str, str]]:
    if user is None:
        return []
    return [
        (href, label, icon)
        for href, label, icon, needed in _NAVIGATION
        if user.may(needed) and (href != "/truth" or server.settings.truth_file is not None)
    ]


def _fingerprint() -> str:
    """Name the assets' contents, so that a browser never mixes two versions."""
    digest = hashlib.sha256()
    for name in ("console.css", "console.js", "charts.js"):
        digest.update(files("api").joinpath("static", name).read_bytes())
    return digest.hexdigest()[:12]
