"""Printers that run Klipper, read and commanded through Moonraker's WebSocket.

What Klipper's words mean as channels stands in `edge_agent/mappings/klipper.toml`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge_agent.live.source import LiveSource
from edge_agent.sources.kinds import SourceKind
from edge_agent.sources.moonraker.config import MoonrakerConfig
from edge_agent.sources.moonraker.peer import MoonrakerPeer

if TYPE_CHECKING:
    from edge_agent.site import Site


def _make(config: MoonrakerConfig, site: Site) -> LiveSource:
    return LiveSource(MoonrakerPeer(config, site), config, site)


KIND: Final = SourceKind(config=MoonrakerConfig, make=_make)
