"""What an agent is told at its start; TOML on disk, decoded and checked by msgspec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from edge_agent.complaints import complaint
from edge_agent.sampling.config import SamplingConfig
from foremend.errors import ConfigurationError
from foremend.values import Timeline
from foremend.wire import Address, Id

if TYPE_CHECKING:
    from pathlib import Path

Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class TlsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to trust the broker, and how to be trusted; paths of PEM files."""

    ca: str | None = None
    """Without it, the system's own authorities."""
    certificate: str | None = None
    key: str | None = None


class BrokerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the broker is, and how to log in."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 1883
    username: str | None = None
    password: str | None = None
    tls: TlsConfig | None = None
    keepalive_s: Positive = 30
    timeout_s: Seconds = 10.0
    """Without an answer for this long, the link is given up."""


class AgentConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One device's agent."""

    tenant: Id
    device: Id
    broker: BrokerConfig = BrokerConfig()
    timeline: str = "live"
    """`live`, `replay:RUN` or `sim:RUN`."""
    packed: bool = False
    """MessagePack instead of JSON."""
    frames_per_message: Positive = 60
    max_frame_age_s: Seconds = 1.0
    """A frame waits at most this long for others to share its message."""
    max_unsettled: Positive = 1000
    """Messages beyond which a source that can wait is made to."""
    first_resend_s: Seconds = 30.0
    """A message without our acknowledgement is sent again after this, then twice as long, ..."""
    command_keys: tuple[str, ...] = ()
    """PEM of each Ed25519 public key whose commands are obeyed; without any, nobody's are."""
    outbox_bytes: Annotated[int, Meta(ge=4096)] = 64 * 1024**2
    outbox_age_s: Seconds | None = None
    """What was read longer ago is given up, and a gap told; without it, only bytes are bounded."""
    clock_patience_s: Seconds = 300.0
    """From the machine's start: how long NTP is waited for where systemd-timesyncd runs."""

    def __post_init__(self) -> None:
        Timeline.parse(self.timeline)

    @property
    def address(self) -> Address:
        """Whose messages these are."""
        return Address(tenant=self.tenant, device=self.device)


class EnrolConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the device gets credentials of its own at its first start."""

    url: str
    """Of the API."""
    token: str
    """From `foremend device claim`; of no use once it was used."""
    allow_http: bool = False
    """Send the token in clear, on a network that is trusted."""


class HostConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One process that hosts one agent: the whole of its configuration file."""

    agent: AgentConfig
    source: dict[str, Any]
    """What `edge_agent.sources.kinds` makes a source of; the rest depends on its `kind`."""
    sampling: SamplingConfig = SamplingConfig()
    outbox: str = "outbox.sqlite3"
    """Path of the outbox; beside the configuration file where it is relative."""
    ballast_bytes: Annotated[int, Meta(ge=0)] = 4 * 1024**2
    """Of the disk, kept back beside the outbox so that a full one can be tidied; under 1 MiB, which
    the log may need, it is of little use."""
    credentials: str = "credentials.json"
    """Path of what an enrolment gave, likewise."""
    enrol: EnrolConfig | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


def read_config(path: Path) -> HostConfig:
    """Read a configuration file.

    Raises:
        ConfigurationError: it cannot be read, or a setting is missing, unknown or wrong.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=HostConfig)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"{path}: {complaint(error, HostConfig)}") from error
