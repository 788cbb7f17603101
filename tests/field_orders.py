"""Orders and devices as examples for tests of field service."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from field_service.bills import Source
from field_service.memory import MemoryWorld
from field_service.store import Device
from field_service.values import Alert, Kind, Order, Outlook, State, Strategy, Subject

START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
SUBJECT = Subject(timeline="sim:t", device_id=1, component="hotend_fan", failure_mode="fan_wear")
OPTIONS = (
    {"strategy": "self_repair", "fallout": None, "cost": "14.00", "currency": "USD"},
    {"strategy": "on_site", "fallout": None, "cost": "92.00", "currency": "USD"},
    {"strategy": "trade_in", "fallout": "not_offered_here"},
)
ORDER = Order(
    id=1,
    tenant="demo",
    number=1,
    subject=SUBJECT,
    device="printer-07",
    region="north_america",
    org_node=None,
    kind=Kind.PREDICTIVE,
    state=State.OFFERED,
    opened_at=START,
    state_at=START,
    strategy=Strategy.SELF_REPAIR,
    options=OPTIONS,
)
ALERT = Alert(
    id=1,
    tenant="demo",
    subject=SUBJECT,
    fired_at=START + HOUR,
    outlook=Outlook(probability=0.93, horizon_h=24, p10_h=5, p50_h=7, p90_h=9),
    evidence=({"code": "channel_low", "channel": "fan_speed"},),
    model_version="m1",
)
DEVICE = Device(
    id=1,
    tenant="demo",
    timeline="sim:t",
    name="printer-07",
    family="fdm_printer",
    region="north_america",
    org_node="near",
    now=START + HOUR,
)
NEAR = Source(org_node="near", node_kind="local_node", region="north_america", available=1)
FAR = Source(org_node="far", node_kind="hq", region="china", available=50)


def memory_world(*alerts: Alert) -> MemoryWorld:
    """Give a world with one printer, two nodes and these alerts."""
    return MemoryWorld(devices={1: DEVICE}, alerts={a.id: a for a in alerts}, sources=[NEAR, FAR])


def later(world: MemoryWorld, hours: float) -> None:
    """Let the world's clock stand so many hours after START."""
    world.devices[1] = replace(world.devices[1], now=START + hours * HOUR)
