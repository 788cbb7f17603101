"""The host application: every edge node that was heard, and what follows from each message.

It holds no connection and asks no clock, so that whole conversations can be rehearsed.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from foremend.errors import MalformedMessage
from ingest.sparkplug import payload, topics
from ingest.sparkplug.naming import original
from ingest.sparkplug.node import EdgeNode
from ingest.sparkplug.outcome import Reason, Tally
from ingest.sparkplug.session import Heard, Ownership
from ingest.sparkplug.topics import Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from foremend.clock import Millis
    from ingest.intake import Arrival
    from ingest.sparkplug.outcome import Outcome

MAX_NODES: Final = 4096
"""Edge nodes that are remembered; the one longest unheard is forgotten, and asked anew."""
_PARTS: Final = (2, 3)
"""Of a path: group and edge node, with or without a device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What the settings say of edge nodes."""

    tenant: str
    """Whose edge nodes are where no group is listed."""
    groups: Mapping[str, str]
    """Tenants by group; where any is listed, others are refused."""
    family: str
    reorder_ms: Millis

    def tenant_of(self, group: str) -> str:
        """Say whose a group's edge nodes are; raises MalformedMessage where nobody's."""
        if not self.groups:
            return self.tenant
        try:
            return self.groups[group]
        except KeyError:
            raise MalformedMessage("unknown_group", f"group {group[:100]!r} is nobody's") from None


@dataclass(slots=True)
class Host:
    """Sorts messages by edge node."""

    ruling: Ruling
    max_nodes: int = MAX_NODES
    _nodes: OrderedDict[Node, EdgeNode] = field(default_factory=OrderedDict)

    def hear(self, arrival: Arrival, *, retained: bool, now_ms: Millis, out: Outcome) -> None:
        """Take one message as it came."""
        try:
            topic = topics.parse(arrival.topic)
            node = self._node(topic.node)
            if retained:
                # Nobody knows how old it is; the edge node itself can say what holds now.
                out.tally[Tally.RETAINED] += 1
                if node.session is None:
                    node.wants = node.wants or Reason.NO_BIRTH
                return
            content = payload.decode(arrival.payload)
        except MalformedMessage as error:
            out.refuse(arrival, error.reason, str(error))
            return
        node.hear(Heard(topic=topic, payload=content, arrival=arrival, at_ms=now_ms), out)

    def tick(self, now_ms: Millis, out: Outcome) -> None:
        """Let time pass."""
        for node in self._nodes.values():
            node.tick(now_ms, out)

    def interrupted(self, now_ms: Millis, out: Outcome) -> None:
        """Take it that messages of any edge node were missed."""
        for node in self._nodes.values():
            node.interrupted(now_ms, out)

    def rejoined(self) -> None:
        """Ask again for what was asked while nobody could hear."""
        for node in self._nodes.values():
            node.rejoined()

    def expect(self, devices: Iterable[tuple[str, str]]) -> None:
        """Have the edge nodes of stored devices, by tenant and id, asked for their births.

        Until they answer nobody knows what was missed while this process was not there.
        """
        wanted = {node for tenant, device in devices for node in self._nodes_of(tenant, device)}
        for name in wanted - self._nodes.keys():
            node = self._node(name)
            node.lapse = node.wants = Reason.NOT_LISTENING

    def _nodes_of(self, tenant: str, device: str) -> Iterable[Node]:
        parts = (original(device) or "").split("/")
        if len(parts) in _PARTS:
            node = Node(group=parts[0], node=parts[1])
            if (self.ruling.groups or {node.group: self.ruling.tenant}).get(node.group) == tenant:
                yield node

    def _node(self, name: Node) -> EdgeNode:
        if name not in self._nodes:
            owner = Ownership(tenant=self.ruling.tenant_of(name.group), family=self.ruling.family)
            self._nodes[name] = EdgeNode(
                node=name, ownership=owner, reorder_ms=self.ruling.reorder_ms
            )
            if len(self._nodes) > self.max_nodes:
                self._nodes.popitem(last=False)
        self._nodes.move_to_end(name)
        return self._nodes[name]
