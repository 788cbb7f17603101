"""The console's pages. Each is whole without scripts; scripts only keep it fresh."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api import (
    alerts,
    desk,
    devices,
    evidence,
    model_versions,
    scopes,
    story,
    summary,
    telemetry,
    truth,
    views,
    work_orders,
)
from api.access import OrderReader, Reader, ServerDep
from api.accounts import new_token
from api.console import channel_names, render
from api.devices import Channel, DictConnection, Name
from api.model_versions import ModelReader
from api.scopes import Scope, WantedDep
from api.truth import TruthReader
from api.views import Spark
from api.work_orders import OVER, Number, WorkOrder, WorkOrderDetail
from foremend.clock import to_ms
from foremend.errors import NotFound

router: Final = APIRouter(include_in_schema=False)

SPARK_SLOTS: Final = 48
SPARK_SPAN: Final = timedelta(hours=48)
OVER_SHOWN: Final = 8


@router.get("/")
def overview(request: Request, server: ServerDep, user: Reader, wanted: WantedDep) -> Response:
    """Show the fleet, the open orders and what happened last."""
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        context = {
            "summary": summary.read_summary(connection, scope),
            "devices": devices.read_list(connection, scope),
            "sparks": _sparks(connection, scope),
            "orders": work_orders.read_list(
                connection, scope, states=list(work_orders.OPEN_STATES), limit=12
            ),
            "story": story.lines(summary.read_story(connection, scope)),
            "truth": _truth(connection, server.settings.truth_file, scope),
        }
    return render(request, server, "overview.html", user=user, scope=scope, context=context)


@router.get("/devices")
def device_list(
    request: Request,
    server: ServerDep,
    user: Reader,
    wanted: WantedDep,
    after: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """Show all devices with their health and likeliest failure."""
    limit = 100
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        found = devices.read_list(connection, scope, after=after, limit=limit + 1)
        sparks = _sparks(connection, scope)
    return render(
        request,
        server,
        "devices.html",
        user=user,
        scope=scope,
        context={
            "devices": found[:limit],
            "sparks": sparks,
            "following": found[limit - 1].name if len(found) > limit else None,
        },
    )


@router.get("/devices/{name}")
def device_page(
    request: Request, server: ServerDep, user: Reader, wanted: WantedDep, name: Name
) -> Response:
    """Show one device: hazards, components, charts, orders and alerts."""
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        context = {
            "device": devices.read_detail(connection, scope, name),
            "orders": work_orders.read_list(connection, scope, device=name, limit=3),
            "alerts": alerts.read_list(connection, scope, device=name, limit=5),
            "said": telemetry.read_said(connection, scope, name, limit=12),
        }
    return render(request, server, "device.html", user=user, scope=scope, context=context)


@router.get("/alerts")
def alert_list(
    request: Request,
    server: ServerDep,
    user: Reader,
    wanted: WantedDep,
    show: Annotated[str, Query(pattern="^(open|all)$")] = "open",
    before: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    """Show alerts and silences."""
    limit = 60
    states = list(alerts.OPEN) if show == "open" else None
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        found = alerts.read_list(connection, scope, states=states, before=before, limit=limit + 1)
        silences = alerts.read_silences(connection, scope)
    return render(
        request,
        server,
        "alerts.html",
        user=user,
        scope=scope,
        context={
            "alerts": found[:limit],
            "following": found[limit - 1].id if len(found) > limit else None,
            "silences": silences,
            "show": show,
        },
    )


@router.get("/alerts/{alert_id}")
def alert_page(request: Request, server: ServerDep, user: Reader, alert_id: alerts.Id) -> Response:
    """Show one alert with its evidence and history."""
    with server.work(user) as connection:
        scope = alerts.scope_of(connection, user, alert_id)
        alert = alerts.read_detail(connection, scope, alert_id)
        units = {c.name: c.unit for c in _channels(connection, scope, alert.device)}
    return render(
        request,
        server,
        "alert.html",
        user=user,
        scope=scope,
        context={"alert": alert, "reasons": evidence.rows(alert.evidence, units)},
    )


@router.get("/work-orders")
def order_board(
    request: Request, server: ServerDep, user: OrderReader, wanted: WantedDep
) -> Response:
    """Show the orders on a board by state: all open ones, and the last that are over."""
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        is_open = work_orders.read_list(connection, scope, states=list(work_orders.OPEN_STATES))
        is_over = work_orders.read_list(connection, scope, states=list(OVER), limit=OVER_SHOWN)
        counts = work_orders.count_by_state(connection, scope)
    return render(
        request,
        server,
        "work_orders.html",
        user=user,
        scope=scope,
        context={
            "columns": views.board([*is_open, *sorted(is_over, key=_latest, reverse=True)]),
            "over": sum(counts.get(state, 0) for state in OVER),
        },
    )


@router.get("/work-orders/{number}")
def order_page(request: Request, server: ServerDep, user: OrderReader, number: Number) -> Response:
    """Show one order with its evidence, options, kit, ledger, and the moves that are open."""
    with server.work(user) as connection:
        order = work_orders.read_detail(connection, user, number)
        scope = scopes.resolve(connection, user, (order.timeline, True))
        context = order_context(connection, scope, order)
    return render(
        request,
        server,
        "work_order.html",
        user=user,
        scope=scope,
        context=context,
    )


@router.get("/truth")
def truth_page(
    request: Request, server: ServerDep, user: TruthReader, wanted: WantedDep
) -> Response:
    """Show predictions against a simulation's truth."""
    file = server.settings.truth_file
    if file is None:
        raise NotFound("no truth is known here: only a simulation has one")
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        found = truth.read_comparison(connection, scope, file)
    along = views.fault_axis(found, scope.now)
    return render(
        request,
        server,
        "truth.html",
        user=user,
        scope=scope,
        context={
            "report": truth.report(scope, found),
            "axis": along,
            "bars": views.fault_bars(found, along, scope.now),
            "now_place": along.place(to_ms(scope.now)),
        },
    )


@router.get("/models")
def model_page(
    request: Request, server: ServerDep, user: ModelReader, wanted: WantedDep
) -> Response:
    """Show the model versions, their trials, and what is proposed to be learnt anew."""
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        context = {
            "models": model_versions.read_models(connection),
            "proposals": model_versions.read_proposals(connection),
        }
    return render(request, server, "models.html", user=user, scope=scope, context=context)


def order_context(
    connection: DictConnection, scope: Scope, order: WorkOrderDetail
) -> dict[str, Any]:
    """Gather what an order's page shows beside the order itself."""
    channels = _channels(connection, scope, order.device)
    reasons = evidence.rows(order.evidence, {c.name: c.unit for c in channels})
    return {
        "order": order,
        "reasons": reasons,
        "channels": list(dict.fromkeys(row.channel for row in reasons if row.channel))[:3],
        "channel_names": channel_names(channels),
        "is_over": order.state in OVER,
        "kit": desk.resolution(order.kit) if order.kit else None,
        "key": new_token(),
    }


def _latest(order: WorkOrder) -> datetime:
    return order.state_at


def _channels(connection: DictConnection, scope: Scope, device: str) -> list[Channel]:
    return devices.read_channels(connection, devices.identify(connection, scope, device))


def _sparks(connection: DictConnection, scope: Scope) -> dict[str, Spark | None]:
    found = devices.read_sparks(connection, scope, since=scope.now - SPARK_SPAN, points=SPARK_SLOTS)
    return {name: views.spark(points, SPARK_SLOTS) for name, points in found.items()}


def _truth(connection: DictConnection, file: Path | None, scope: Scope) -> truth.TruthReport | None:
    if file is None:
        return None
    return truth.report(scope, truth.read_comparison(connection, scope, file))
