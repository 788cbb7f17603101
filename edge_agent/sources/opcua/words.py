"""What OPC UA's paths, status codes, times and states mean; pure.

Sources: OPC 10000-4 (status codes, services), OPC 10000-6 5.1.12 (NodeIds as text), OPC 10000-100
(DeviceHealth), OPC 40001-1 (MachineryItemState).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from foremend.errors import ConfigurationError

if TYPE_CHECKING:
    from datetime import datetime

    from foremend.clock import Millis

Severity = Literal["info", "warning", "error", "critical"]
BAD: Final = 0x8000_0000
UNCERTAIN: Final = 0x4000_0000
HEALTH_CHANNEL: Final = "device_health"
"""A channel of this name is read as a DeviceHealth, and its changes become events."""
HEALTH: Final[dict[int, tuple[str, Severity]]] = {
    0: ("normal", "info"),
    1: ("failure", "error"),
    2: ("check_function", "info"),
    3: ("off_spec", "warning"),
    4: ("maintenance_required", "warning"),
}
STATES: Final = ("NotAvailable", "OutOfService", "NotExecuting", "Executing")
"""MachineryItemState, in the order of its state numbers."""

_NODE: Final = re.compile(r"(?:nsu=(?P<uri>[^;]+);|ns=0;)?(?P<identifier>[isgb]=.+)")
_STEP: Final = re.compile(r"/(?:\{(?P<uri>[^}]+)\})?(?P<name>[^/{}]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node by its identifier, in a namespace by its URI; none is OPC UA's own."""

    uri: str | None
    identifier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One name of a browse path."""

    uri: str | None
    name: str


Target = Node | tuple[Step, ...]


def target(path: str) -> Target:
    """Read where a value stands: a NodeId, or a browse path from the root folder.

    >>> target("nsu=urn:acme:press;s=Ram.Force")
    Node(uri='urn:acme:press', identifier='s=Ram.Force')
    >>> [step.name for step in target("/Objects/{urn:acme:press}Press/{urn:acme:press}Force")]
    ['Objects', 'Press', 'Force']

    Raises:
        ConfigurationError: it is none; an index in place of a namespace's URI is none either,
            since a server may number its namespaces anew at each start.
    """
    node = _NODE.fullmatch(path)
    if node is not None:
        return Node(uri=node["uri"], identifier=node["identifier"])
    steps = tuple(Step(uri=s["uri"], name=s["name"]) for s in _STEP.finditer(path))
    if not steps or _STEP.sub("", path):
        raise ConfigurationError(
            f"{path!r} is neither nsu=URI;s=NAME (or i=, g=, b=) nor /NAME/{{URI}}NAME"
        )
    return steps


def uris(targets: list[Target]) -> set[str]:
    """Give the namespaces that they name."""
    steps = [step for each in targets for step in ((each,) if isinstance(each, Node) else each)]
    return {step.uri for step in steps if step.uri is not None}


def plain(value: object) -> object:
    """Give a value's number or text; a localized text's own."""
    return getattr(value, "Text", value)


def health_of(value: object) -> tuple[str, Severity] | None:
    """Give what a DeviceHealth is called and how grave it is; None for what is none."""
    try:
        return HEALTH.get(int(value))  # type: ignore[call-overload]
    except (TypeError, ValueError):
        return None


def state_of(value: object) -> str:
    """Give a state's name, by its name or by its number."""
    text = str(plain(value))
    return STATES[int(text)] if text in {"0", "1", "2", "3"} else text


def age_ms(now: datetime | None, then: datetime | None) -> Millis:
    """Give the time between two of the server's stamps; 0 where one is missing.

    Both are the server's own, so that it does not matter how its clock stands to ours.
    """
    if now is None or then is None:
        return 0
    return round((now - then).total_seconds() * 1000)
