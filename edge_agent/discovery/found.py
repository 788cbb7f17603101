"""A device that was found, and the configuration that reads it; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge_agent.discovery.toml import spelt

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOT_IN_IDS: Final = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One device."""

    kind: str
    """Of the source that reads it."""
    name: str
    """As it calls itself."""
    settings: Mapping[str, str | int | float | bool]
    """What the table `[source]` says beside the kind."""
    wants: Mapping[str, str] = field(default_factory=dict)
    """Settings that only its owner can give -> where to find them."""
    mapping: str = ""
    """A draft of its mapping, as TOML, where it could be looked at."""

    @property
    def device(self) -> str:
        """The name as an id.

        >>> Found(kind="octoprint", name='OctoPrint "Lab 2"', settings={}).device
        'OctoPrint-Lab-2'
        """
        words = _NOT_IN_IDS.sub("-", self.name).strip("-_")[:64]
        return words or self.kind

    @property
    def mapping_file(self) -> str:
        """Where its draft goes, beside its configuration."""
        return f"{self.device}.mapping.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Where the device is to report to."""

    tenant: str = "demo"
    broker: str = "127.0.0.1:1883"
    url: str | None = None
    """Of the API, and a claim token: the device then gets credentials of its own."""
    token: str | None = None
    allow_http: bool = False
    """Whether the token may travel in clear."""


def configuration(found: Found, home: Home) -> str:
    """Give an agent's whole configuration for a device, as TOML."""
    host, _, port = home.broker.rpartition(":")
    lines = [
        f"# Found as {found.name}. Start it with: foremend agent run {found.device}.toml",
        f"outbox = {spelt(found.device + '.sqlite3')}",
        f"credentials = {spelt(found.device + '.credentials.json')}",
        "",
        "[agent]",
        f"tenant = {spelt(home.tenant)}",
        f"device = {spelt(found.device)}",
        f"broker = {{ host = {spelt(host)}, port = {int(port)} }}",
    ]
    if home.url is not None and home.token is not None:
        lines += ["", "[enrol]", f"url = {spelt(home.url)}", f"token = {spelt(home.token)}"]
        lines += ["allow_http = true"] if home.allow_http else []
    lines += ["", "[source]", f"kind = {spelt(found.kind)}"]
    if found.mapping:
        lines.append(f"mapping = {spelt(found.mapping_file)}")
    lines += [f"{name} = {spelt(value)}" for name, value in found.settings.items()]
    for name, where in found.wants.items():
        lines += [f"# {where}:", f'{name} = ""']
    return "\n".join(lines) + "\n"
