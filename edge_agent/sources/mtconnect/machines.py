"""Which machines an MTConnect agent speaks for, and what they offer; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_agent.sources.mtconnect.words import Item, Refusal, header_of, items_of, root_of, tag_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A device of a `probe` document."""

    name: str
    uuid: str
    manufacturer: str | None
    model: str | None
    serial: str | None
    items: tuple[Item, ...]


def machines(document: bytes) -> tuple[Machine, ...] | Refusal:
    """Read the machines of a `probe` document; the agent itself, as newer ones list it, is none.

    Raises:
        MalformedMessage: it is no XML, or no document of devices.
    """
    root = root_of(document, "MTConnectDevices")
    if isinstance(root, Refusal):
        return root
    return tuple(_machine(element) for element in root.iter() if tag_of(element) == "Device")


def agent_of(document: bytes) -> dict[str, object]:
    """Give what a document's header says of the agent; raises MalformedMessage."""
    root = root_of(document, "MTConnectDevices")
    if isinstance(root, Refusal):
        return {"refused": root.text}
    header = header_of(root)
    names = {
        "agent": "sender",
        "version": "version",
        "instance": "instanceId",
        "buffer": "bufferSize",
    }
    return {ours: header.get(theirs) for ours, theirs in names.items()}


def _machine(element: Element) -> Machine:
    described = dict(_description(element))
    return Machine(
        name=element.get("name", ""),
        uuid=element.get("uuid", ""),
        manufacturer=described.get("manufacturer"),
        model=described.get("model"),
        serial=described.get("serialNumber"),
        items=tuple(items_of(element, "Device", None)),
    )


def _description(element: Element) -> Iterator[tuple[str, str]]:
    for child in element:
        if tag_of(child) == "Description":
            yield from child.attrib.items()
