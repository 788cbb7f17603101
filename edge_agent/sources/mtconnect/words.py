"""What an MTConnect agent's documents say; pure.

Source: ANSI/MTC1.4 (MTConnect Standard), Part 1 (headers, sequence numbers, errors), Part 2
(devices, data items) and Part 3 (streams, conditions). Names are matched without their namespace,
which changes with every version of the standard.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from foremend.errors import MalformedMessage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from xml.etree.ElementTree import Element

    from foremend.clock import Millis

Level = Literal["normal", "warning", "fault", "unavailable"]
UNAVAILABLE: Final = "UNAVAILABLE"
UNTOLD: Final = 2**31
"""Of a buffer's size: no bound is known."""
_LEVELS: Final[dict[str, Level]] = {
    "Normal": "normal", "Warning": "warning", "Fault": "fault", "Unavailable": "unavailable",
}  # fmt: skip
_PLACE: Final = re.compile(
    r"(?P<component>\w+|\*)(?:\[(?P<name>[^\]]+)\])?/(?P<type>[\w:]+)(?:/(?P<sub>[\w:]+))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A data item of the agent's device model that has values: a sample's or an event's."""

    id: str
    name: str | None
    type: str
    sub_type: str | None
    component: str
    component_name: str | None
    category: str = ""
    """SAMPLE, EVENT or CONDITION."""
    units: str = ""

    @property
    def path(self) -> str:
        """Spell where it stands, as `find` reads it; its id where that leaves a doubt."""
        name = f"[{self.component_name}]" if self.component_name else ""
        path = f"{self.component}{name}/{self.type}{f'/{self.sub_type}' if self.sub_type else ''}"
        return path if _PLACE.fullmatch(path) else self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A sample's or an event's value at an instant."""

    id: str
    value: str | None
    """None where it is unavailable."""
    age_ms: Millis
    """Before the document was made, by the agent's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One level of one condition."""

    id: str
    level: Level
    type: str
    native_code: str | None
    condition_id: str | None
    native_severity: str | None
    qualifier: str | None
    text: str
    age_ms: Millis

    @property
    def key(self) -> str | None:
        """What tells one active condition of a data item from another; None is all of them."""
        return self.condition_id or self.native_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """A `current` or `sample` document, in the order of its sequence numbers."""

    instance: str
    next_sequence: int
    buffer_size: int
    """How many observations the agent keeps at most."""
    made_ms: Millis | None
    """When, by the agent's clock."""
    observations: tuple[Observation, ...]
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error document."""

    codes: tuple[str, ...]
    text: str


def devices(document: bytes) -> tuple[Item, ...] | Refusal:
    """Read the data items of a `probe` document.

    Raises:
        MalformedMessage: it is no XML, or no document of devices.
    """
    root = root_of(document, "MTConnectDevices")
    return root if isinstance(root, Refusal) else tuple(items_of(root, "Device", None))


def items_of(element: Element, component: str, name: str | None) -> Iterator[Item]:
    """Give the data items below an element, each with the component that it belongs to."""
    for child in element:
        tag = tag_of(child)
        if tag == "DataItem" and "id" in child.attrib:
            # A condition has none, but often the component, type and sub-type of one that has.
            if child.get("category") == "CONDITION":
                continue
            yield Item(
                id=child.attrib["id"],
                name=child.get("name"),
                type=child.get("type", ""),
                sub_type=child.get("subType"),
                component=component,
                component_name=name,
                category=child.get("category", ""),
                units=child.get("units", ""),
            )
        elif tag in {"Devices", "Components", "DataItems"}:
            yield from items_of(child, component, name)
        elif "id" in child.attrib:
            yield from items_of(child, tag, child.get("name"))


def find(path: str, items: Iterable[Item]) -> str:
    """Find the id of the data item that a path names.

    A path is an id, a name, or COMPONENT[NAME]/TYPE/SUBTYPE, of which [NAME] and /SUBTYPE may be
    missing where nothing else could be meant; a component of * may be any.

    Raises:
        LookupError: none fits, or several do; says which.
    """
    known = tuple(items)
    if any(item.id == path for item in known):
        return path
    place = _PLACE.fullmatch(path)
    fits = [item.id for item in known if item.name == path or (place and _is_at(item, place))]
    if len(set(fits)) != 1:
        raise LookupError(f"{path!r} names {', '.join(fits) if fits else 'no data item'}")
    return fits[0]


def _is_at(item: Item, place: re.Match[str]) -> bool:
    return (
        place["component"] in {"*", item.component}
        and place["name"] in {None, item.component_name}
        and item.type == place["type"]
        and place["sub"] in {None, item.sub_type}
    )


def streams(document: bytes) -> Streams | Refusal:
    """Read a `current` or `sample` document.

    Raises:
        MalformedMessage: it is no XML, or no document of streams.
    """
    root = root_of(document, "MTConnectStreams")
    if isinstance(root, Refusal):
        return root
    header = header_of(root)
    made = _instant(header.get("creationTime"))
    told = sorted(_told(root), key=lambda element: _number(element.get("sequence"), 0))
    conditions = [e for e in told if tag_of(e) in _LEVELS and "dataItemId" in e.attrib]
    values = [e for e in told if tag_of(e) not in _LEVELS]
    return Streams(
        instance=header.get("instanceId", ""),
        next_sequence=_number(header.get("nextSequence"), None),
        buffer_size=max(1, _number(header.get("bufferSize"), UNTOLD)),
        made_ms=None if made is None else round(made.timestamp() * 1000),
        observations=tuple(_observation(e, made) for e in values),
        conditions=tuple(_condition(e, made) for e in conditions),
    )


def _told(root: Element) -> Iterator[Element]:
    for group in root.iter():
        if tag_of(group) in {"Samples", "Events", "Condition"}:
            yield from (child for child in group if "dataItemId" in child.attrib)


def _observation(element: Element, made: datetime | None) -> Observation:
    text = (element.text or "").strip()
    return Observation(
        id=element.attrib["dataItemId"],
        value=None if text == UNAVAILABLE else text,
        age_ms=_age_ms(element, made),
    )


def _condition(element: Element, made: datetime | None) -> Condition:
    return Condition(
        id=element.attrib["dataItemId"],
        level=_LEVELS[tag_of(element)],
        type=element.get("type", ""),
        native_code=element.get("nativeCode") or None,
        condition_id=element.get("conditionId") or None,
        native_severity=element.get("nativeSeverity") or None,
        qualifier=element.get("qualifier") or None,
        text=(element.text or "").strip(),
        age_ms=_age_ms(element, made),
    )


def root_of(document: bytes, kind: str) -> Element | Refusal:
    """Read a document of a kind; raises MalformedMessage."""
    try:
        root: Element = fromstring(document, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise MalformedMessage("not_xml", f"the agent's answer is no XML: {error}") from error
    if tag_of(root) == "MTConnectError":
        errors = [e for e in root.iter() if "errorCode" in e.attrib]
        text = "; ".join(_complaint(e) for e in errors)
        return Refusal(codes=tuple(e.attrib["errorCode"] for e in errors), text=text)
    if tag_of(root) != kind:
        raise MalformedMessage("not_mtconnect", f"the agent's answer is no {kind}")
    return root


def _complaint(error: Element) -> str:
    """Give an error's text, which since version 2.6 stands in a message of its own."""
    inner = (child for child in error if tag_of(child) == "ErrorMessage")
    return (next(inner, error).text or "").strip()


def header_of(root: Element) -> Mapping[str, str]:
    """Give its header; raises MalformedMessage where it has none."""
    for child in root:
        if tag_of(child) == "Header":
            return child.attrib
    raise MalformedMessage("no_header", "the agent's answer has no header")


def _number(text: str | None, default: int | None) -> int:
    try:
        return int(text) if text is not None or default is None else default  # type: ignore[arg-type]
    except (TypeError, ValueError):
        if default is not None:
            return default
        raise MalformedMessage("no_sequence", "the agent tells no sequence number") from None


def _age_ms(element: Element, made: datetime | None) -> Millis:
    then = _instant(element.get("timestamp"))
    return 0 if made is None or then is None else round((made - then).total_seconds() * 1000)


def _instant(text: str | None) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return instant if instant.tzinfo else None


def tag_of(element: Element) -> str:
    """Give an element's name without its namespace."""
    return element.tag.rpartition("}")[2]
