"""A device's own credentials, in a file that its owner alone may read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from edge_agent.config import BrokerConfig, TlsConfig
from foremend.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.config import AgentConfig


class BrokerAddress(Struct, frozen=True, kw_only=True):
    """Where the device was told to speak."""

    host: str
    port: int
    tls: bool = False


class Credentials(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an enrolment gave."""

    url: str
    """Of the API that gave it, where the secret is renewed."""
    login: str
    """Also the one MQTT client id that it may use."""
    secret: str
    next_secret: str | None = None
    """Chosen, but perhaps not known to the server: a renewal was cut short."""
    broker: BrokerAddress
    command_keys: tuple[str, ...] = ()
    """PEM of each Ed25519 public key whose commands are obeyed."""


class Vault:
    """The file of one device's credentials."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._turn = 0

    def read(self) -> Credentials | None:
        """Give what is kept; None before the enrolment.

        Raises:
            ConfigurationError: others may read the file, or it is not one of ours.
        """
        try:
            if self.path.stat().st_mode & 0o077:
                raise ConfigurationError(f"{self.path} can be read by others: chmod 600 it")
            return msgspec.json.decode(self.path.read_bytes(), type=Credentials)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigurationError(f"{self.path} cannot be read: {error}") from error

    def write(self, credentials: Credentials) -> None:
        """Keep credentials: all of them or those before, and on the disk."""
        put_private(self.path, msgspec.json.encode(credentials))

    def login(self) -> tuple[str, str]:
        """Give login and secret for the next connection, read anew: they may have been renewed.

        Where a renewal was cut short, the two secrets take turns.

        Raises:
            ConfigurationError: the file is gone, or cannot be read.
        """
        known = self.read()
        if known is None:
            raise ConfigurationError(f"{self.path} is gone: enrol this device again")
        self._turn += 1
        old_turn = known.next_secret is None or self._turn % 2
        return known.login, known.secret if old_turn else known.next_secret or ""


def put_private(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 whole, and have it on the disk."""
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as sink:
        sink.write(content)
        sink.flush()
        os.fsync(sink.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def equipped(config: AgentConfig, known: Credentials) -> AgentConfig:
    """Give the configuration with what the enrolment told; what it names itself stays."""
    told = config.broker
    if told == BrokerConfig():
        told = BrokerConfig(
            host=known.broker.host,
            port=known.broker.port,
            tls=TlsConfig() if known.broker.tls else None,
        )
    keys = config.command_keys or known.command_keys
    return msgspec.structs.replace(config, broker=told, command_keys=keys)
