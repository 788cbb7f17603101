"""One run of the agent for a device: its boot id, and the birth that describes it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Literal

from foremend import wire

if TYPE_CHECKING:
    from edge_agent.source import Description
    from foremend.clock import Millis
    from foremend.wire import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Who speaks, and since when; numbers of messages count from 0 within it."""

    address: Address
    boot: str
    boot_ms: Millis
    timeline: str = "live"
    clock: Literal["trusted", "held"] = "trusted"


def new_boot() -> str:
    """Give a boot id that no other run of any agent has: 64 random bits, hexadecimal."""
    return secrets.token_hex(8)


def birth_of(session: Session, description: Description, *, packed: bool = False) -> bytes:
    """Give the final bytes of a session's birth."""
    birth = wire.Birth(
        boot=session.boot,
        # Nobody knows yet when a held boot began: a wrong instant could be taken for a right one.
        boot_ms=0 if session.clock == "held" else session.boot_ms,
        clock=session.clock,
        schema=wire.schema_hash(description.channels),
        channels=description.channels,
        components=description.components,
        family=description.family,
        model=description.model,
        firmware=description.firmware,
        agent=f"foremend {agent_version()}",
        timeline=session.timeline,
    )
    return wire.encode(birth, packed=packed)


def agent_version() -> str:
    """Give the version of the installed distribution."""
    try:
        return metadata.version("foremend")
    except metadata.PackageNotFoundError:
        return "unpackaged"
