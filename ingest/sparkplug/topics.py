"""Sparkplug's topics: `spBv1.0/GROUP/TYPE/NODE[/DEVICE]` and `spBv1.0/STATE/HOST`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from foremend.errors import MalformedMessage

ROOT: Final = "spBv1.0"
MAX_LEVEL: Final = 256
"""Characters in a group's, a node's or a device's id."""
_NODE_LEVELS: Final = 4


class Kind(Enum):
    """What an edge node may say."""

    NBIRTH = "NBIRTH"
    NDATA = "NDATA"
    NDEATH = "NDEATH"
    DBIRTH = "DBIRTH"
    DDATA = "DDATA"
    DDEATH = "DDEATH"

    @property
    def of_device(self) -> bool:
        """Whether its topic names a device below the edge node."""
        return self.value.startswith("D")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An edge node's own address, unique at one broker."""

    group: str
    node: str

    @property
    def command_topic(self) -> str:
        """The topic on which the edge node takes commands."""
        return f"{ROOT}/{self.group}/NCMD/{self.node}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What a message's topic says."""

    kind: Kind
    node: Node
    device: str | None = None
    """None where the edge node speaks for itself."""


def parse(topic: str) -> Topic:
    """Read the topic of an edge node's message.

    Raises:
        MalformedMessage: `bad_topic`: it is not one on which edge nodes speak.
    """
    levels = topic.split("/")
    bad = MalformedMessage("bad_topic", f"{topic[:200]!r} is not a topic of an edge node")
    if len(levels) < _NODE_LEVELS or levels[0] != ROOT or not all(map(_is_level, levels)):
        raise bad
    try:
        kind = Kind(levels[2])
    except ValueError:
        raise bad from None
    if len(levels) != _NODE_LEVELS + kind.of_device:
        raise bad
    node = Node(group=levels[1], node=levels[3])
    return Topic(kind=kind, node=node, device=levels[4] if kind.of_device else None)


def _is_level(level: str) -> bool:
    return 0 < len(level) <= MAX_LEVEL and not set(level) & {"+", "#", "\0"}


def filters() -> dict[str, int]:
    """Give the filters of a host application and their QoS; wills alone are sent with QoS 1."""
    return {
        f"{ROOT}/+/{kind.value}/+{'/+' if kind.of_device else ''}": int(kind is Kind.NDEATH)
        for kind in Kind
    }


def state_topic(host: str) -> str:
    """Give the topic on which a host application says whether it is there."""
    return f"{ROOT}/STATE/{host}"
