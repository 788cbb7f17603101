"""MTConnect agents that are named: their machines, each with a draft of its mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httpx

from edge_agent.discovery.drafts import Draft, Seen
from edge_agent.discovery.found import Found
from edge_agent.live.mapping import load
from edge_agent.sources.mtconnect.machines import machines
from edge_agent.sources.mtconnect.words import Refusal, find
from foremend.errors import MalformedMessage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edge_agent.live.mapping import Job
    from edge_agent.sources.mtconnect.machines import Machine
    from edge_agent.sources.mtconnect.words import Item

ANSWER_S: Final = 5.0
PORT: Final = 5000
_ACCEPT: Final = {"Accept": "text/xml, application/xml"}
UCUM: Final = {
    "AMPERE": "A", "CELSIUS": "Cel", "COUNT": "1", "DECIBEL": "dB", "DEGREE": "deg",
    "DEGREE/SECOND": "deg/s", "DEGREE/SECOND^2": "deg/s2", "HERTZ": "Hz", "JOULE": "J",
    "KILOGRAM": "kg", "LITER": "L", "LITER/SECOND": "L/s", "MICRO_RADIAN": "urad",
    "MILLIMETER": "mm", "MILLIMETER/REVOLUTION": "mm/{rev}", "MILLIMETER/SECOND": "mm/s",
    "MILLIMETER/SECOND^2": "mm/s2", "NEWTON": "N", "NEWTON_METER": "N.m", "OHM": "Ohm",
    "PASCAL": "Pa", "PERCENT": "%", "PH": "[pH]", "REVOLUTION/MINUTE": "/min", "SECOND": "s",
    "VOLT": "V", "VOLT_AMPERE": "V.A", "WATT": "W", "WATT_SECOND": "J",
}  # fmt: skip
"""`units` of data items (MTConnect, Part 2) -> UCUM; one that is not here goes as it is."""


async def ask(url: str) -> list[Found]:
    """Ask an agent for its machines; none where no agent answers."""
    base = url.rstrip("/")
    try:
        async with httpx.AsyncClient(timeout=ANSWER_S, trust_env=False, headers=_ACCEPT) as client:
            answer = await client.get(f"{base}/probe")
        told = machines(answer.content)
    except (httpx.HTTPError, httpx.InvalidURL, MalformedMessage):
        return []
    if isinstance(told, Refusal):
        return []
    return [_found(machine, base, alone=len(told) == 1) for machine in told]


def _found(machine: Machine, url: str, *, alone: bool) -> Found:
    named = machine.name or machine.uuid
    made_by = " ".join(filter(None, (machine.manufacturer, machine.model)))
    draft = Draft(
        model=made_by or named,
        source=f"what {url}/probe told",
        seen=tuple(_seen(machine)),
        job=_job(machine),
    )
    only = {} if alone else {"device_name": named}
    mapping = draft.toml() if draft.seen else ""
    return Found(kind="mtconnect", name=named, settings={"url": url, **only}, mapping=mapping)


def _seen(machine: Machine) -> Iterator[Seen]:
    for item in machine.items:
        if item.category == "SAMPLE" and not item.units.endswith("_3D"):
            # What extends the standard bears a prefix, which tells nothing.
            words = (word.rpartition(":")[2] for word in (item.sub_type or "", item.type))
            own = "_".join(filter(None, words)).lower()
            yield Seen(
                path=_path(item, machine),
                names=(item.name or own, item.component_name or "", item.component),
                unit=UCUM.get(item.units, item.units) or "1",
            )


def _path(item: Item, machine: Machine) -> str:
    """Name it by its place, which outlives a new configuration; by its id where several fit."""
    try:
        return item.path if find(item.path, machine.items) == item.id else item.id
    except LookupError:
        return item.id


def _job(machine: Machine) -> tuple[str, Mapping[str, Job]] | None:
    runs = next((item for item in machine.items if item.type == "EXECUTION"), None)
    shipped = load("mtconnect_machine").job
    return None if runs is None or shipped is None else (_path(runs, machine), shipped.words)
