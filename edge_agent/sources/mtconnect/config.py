"""How to reach an MTConnect agent."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from edge_agent.live.source import LiveConfig, Seconds


class MtConnectConfig(LiveConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the agent is, and which of its devices is meant."""

    url: str
    """`http://HOST:5000`."""
    device_name: str | None = None
    """Its name or its uuid; needed where the agent has several."""
    stream: bool = True
    """Whether one long answer is asked for; an agent that gives none is polled all the same."""
    interval_s: Seconds = 0.2
    """From document to document of a long answer, at least."""
    poll_s: Seconds = 1.0
    """From request to request."""
    timeout_s: Seconds = 5.0
    """How long an answer may take."""
    count: Annotated[int, Meta(ge=1, le=10_000)] = 1000
    """Observations that one document may bring; fewer where the agent's buffer is smaller."""

    @property
    def base(self) -> str:
        """Where its requests begin."""
        return "/".join(filter(None, (self.url.rstrip("/"), self.device_name)))

    @property
    def heartbeat_s(self) -> float:
        """How often an agent with nothing new has to say so; each frame needs a word of its own."""
        return min(self.every_s, self.stale_after_s / 3, self.silence_s / 3)
