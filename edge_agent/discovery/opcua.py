"""OPC UA servers that are named: looked through for what could be read of them (asyncua)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from asyncua import ua
from asyncua.client.client import Client
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.uaerrors import UaError

from edge_agent.discovery.drafts import Draft, Seen
from edge_agent.discovery.found import Found
from edge_agent.live.mapping import load
from edge_agent.sources.opcua.words import HEALTH_CHANNEL

if TYPE_CHECKING:
    from collections.abc import Sequence

ANSWER_S: Final = 3.0
LOOK_S: Final = 60.0
"""For a whole server, at most."""
MOST_NODES: Final = 5000
MOST_AT_ONCE: Final = 200
"""Nodes that one request asks for."""
MOST_CHANNELS: Final = 500
LOCKED: Final = "a file that maps its nodes, for it shows none to strangers: docs/devices/opcua.md"
_NUMBERS: Final = (int, float)


@dataclass(frozen=True, slots=True)
class _Variable:
    """A node, and its name before those of what it belongs to."""

    node: ua.NodeId
    names: tuple[str, ...]


async def ask(url: str) -> Found | None:
    """Look through a server without any name or password; None where none answers there."""
    client = Client(url, timeout=ANSWER_S)
    client.name = client.description = "foremend agent discover"
    locked = Found(kind="opcua", name=_name(url), settings={"url": url}, wants={"mapping": LOCKED})
    try:
        async with asyncio.timeout(ANSWER_S):
            await client.connect_and_get_server_endpoints()
    except (UaError, OSError, TimeoutError, ValueError):
        return None
    try:
        async with asyncio.timeout(LOOK_S), client:
            draft = await _look(client, url)
    except (UaError, OSError, TimeoutError):
        return locked
    return replace(locked, wants={}, mapping=draft.toml()) if draft.seen else locked


def _name(url: str) -> str:
    return f"machine-{url.removeprefix('opc.tcp://').strip('/')}"


async def _look(client: Client, url: str) -> Draft:
    walk = _Walk(client)
    await walk.down()
    variables, properties = walk.variables, walk.properties
    uris = await client.get_namespace_array()
    values = await _values(client, [one.node for one in variables])
    told = dict(zip((one.node for one in variables), values, strict=True))
    units = await _values(client, list(properties.values()))
    of = dict(zip(properties, units, strict=True))
    seen = [
        _seen(one, told[one.node], _path(one.node, uris), of)
        for one in variables
        if _is_number(told[one.node])
    ]
    states = [one for one in variables if one.names[:2] == ("CurrentState", "MachineryItemState")]
    shipped = load("opcua_machine").job
    words = {} if shipped is None else shipped.words
    return Draft(
        model=_model(variables) or "OPC UA machine",
        source=f"looked at through {url}",
        seen=tuple(seen[:MOST_CHANNELS]),
        job=(_path(states[0].node, uris), words) if states else None,
    )


@dataclass(slots=True)
class _Walk:
    """Goes down from the folder of objects, level by level."""

    client: Client
    variables: list[_Variable] = field(default_factory=list)
    properties: dict[tuple[ua.NodeId, str], ua.NodeId] = field(default_factory=dict)
    """By owner and name."""
    _known: set[ua.NodeId] = field(default_factory=set)

    async def down(self) -> None:
        """Go as far as there is anything, or MOST_NODES."""
        level = [_Variable(ua.NodeId(ua.Int32(ObjectIds.ObjectsFolder)), ())]
        while level and len(self._known) < MOST_NODES:
            level = [
                below
                for at in range(0, len(level), MOST_AT_ONCE)
                for below in await self._below(level[at : at + MOST_AT_ONCE])
            ]

    async def _below(self, owners: list[_Variable]) -> list[_Variable]:
        answers = await self.client.uaclient.browse(_asked([owner.node for owner in owners]))
        return [
            below
            for owner, answer in zip(owners, answers, strict=True)
            for told in answer.References or ()
            if (below := self._met(owner, told)) is not None
        ]

    def _met(self, owner: _Variable, told: ua.ReferenceDescription) -> _Variable | None:
        """Note what is new; gives it where something may lie below."""
        node, name = told.NodeId, told.BrowseName.Name or ""
        # What is OPC UA's own says how the server is, not the machine.
        if node.NamespaceIndex == 0 or node in self._known:
            return None
        self._known.add(node)
        if told.ReferenceTypeId.Identifier == ObjectIds.HasProperty:
            self.properties[owner.node, name] = node
            return None
        below = _Variable(node, (name, *owner.names))
        if told.NodeClass == ua.NodeClass.Variable:
            self.variables.append(below)
        return below


def _asked(nodes: Sequence[ua.NodeId]) -> ua.BrowseParameters:
    return ua.BrowseParameters(
        NodesToBrowse=[
            ua.BrowseDescription(
                NodeId=node,
                BrowseDirection=ua.BrowseDirection.Forward,
                ReferenceTypeId=ua.NodeId(ua.Int32(ObjectIds.HierarchicalReferences)),
                IncludeSubtypes=True,
                NodeClassMask=ua.UInt32(ua.NodeClass.Object | ua.NodeClass.Variable),
                ResultMask=ua.UInt32(ua.BrowseResultMask.All),
            )
            for node in nodes
        ]
    )


async def _values(client: Client, nodes: list[ua.NodeId]) -> list[Any]:
    """Read values, None for what cannot be read."""
    found: list[Any] = []
    for at in range(0, len(nodes), MOST_AT_ONCE):
        asked = nodes[at : at + MOST_AT_ONCE]
        for one in await client.uaclient.read_attributes(asked, AttributeIds.Value):
            is_good = one.StatusCode is None or one.StatusCode.is_good()
            found.append(one.Value.Value if is_good and one.Value is not None else None)
    return found


def _seen(one: _Variable, value: object, path: str, of: dict[tuple[ua.NodeId, str], Any]) -> Seen:
    if one.names[0] == "DeviceHealth":
        names = (HEALTH_CHANNEL, *one.names[1:])
        return Seen(path=path, names=names, low=0.0, high=4.0, kind="state")
    unit, span = of.get((one.node, "EngineeringUnits")), of.get((one.node, "EURange"))
    shown = str(getattr(getattr(unit, "DisplayName", None), "Text", None) or "").strip()
    return Seen(
        path=path,
        names=one.names,
        unit=shown or "1",
        low=getattr(span, "Low", None),
        high=getattr(span, "High", None),
        kind="state" if isinstance(value, bool) else "gauge",
    )


def _is_number(value: object) -> bool:
    return isinstance(value, _NUMBERS)


def _model(variables: list[_Variable]) -> str | None:
    """Give what the first variable belongs to at the top: as a rule, the machine."""
    tops = [one.names[-1] for one in variables if len(one.names) > 1]
    return tops[0] if tops else None


def _path(node: ua.NodeId, uris: list[str]) -> str:
    return f"nsu={uris[node.NamespaceIndex]};{node.to_string().partition(';')[2]}"
