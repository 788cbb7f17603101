"""Links over MQTT 3.1.1, by aiomqtt."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

import aiomqtt

from edge_agent.link import Heard, LinkDown, Said
from edge_agent.window import IN_FLIGHT
from foremend.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    import paho.mqtt.client as paho
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from edge_agent.config import BrokerConfig, TlsConfig

_ROOM: Final = 2 * IN_FLIGHT
"""QoS 1 handshakes that may be open at once: a full window, births and status beside it."""


_SHUT_OUT: Final = frozenset({4, 5, 134, 135})
"""Bad user name or password, not authorised: as MQTT 3.1.1 and 5 number them."""


class MqttConnector:
    """Connects one device to a broker, under the device's id.

    Where `login` is given it is asked at each connection for name and secret, since both may be
    renewed; the name is the client id then, as the gate demands.
    """

    def __init__(
        self,
        config: BrokerConfig,
        client_id: str,
        login: Callable[[], tuple[str, str]] | None = None,
    ) -> None:
        self._config = config
        self._client_id = client_id
        self._login = login
        self._tls = _tls_context(config.tls) if config.tls is not None else None

    @asynccontextmanager
    async def connect(self, will: Said) -> AsyncIterator[MqttLink]:
        """Connect with a clean session, leaving a last will; LinkDown where that fails."""
        client = self._client(will)
        where = f"{self._config.host}:{self._config.port}"
        with _translated(where):
            async with client:
                yield MqttLink(client, where)

    def _client(self, will: Said) -> aiomqtt.Client:
        config = self._config
        name, secret = self._login() if self._login else (config.username, config.password)
        client = _Client(
            config.host,
            config.port,
            identifier=name or "" if self._login else self._client_id,
            username=name,
            password=secret,
            protocol=aiomqtt.ProtocolVersion.V311,
            clean_session=True,
            keepalive=config.keepalive_s,
            timeout=config.timeout_s,
            max_inflight_messages=_ROOM,
            tls_context=self._tls,
            will=aiomqtt.Will(will.topic, will.payload, will.qos, will.retain),
        )
        client.pending_calls_threshold = _ROOM
        return client


class _Client(aiomqtt.Client):
    """A client that notices at once when it is shut out before it was let in.

    A proxy before a broker that is down accepts and closes; aiomqtt waits for CONNACK all the same
    until its timeout, by which live readings would be late.
    """

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: object,
        flags: paho.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self._connected.done():
            self._connected.set_exception(
                aiomqtt.MqttError(f"closed before it was open: {reason_code}")
            )
        super()._on_disconnect(client, userdata, flags, reason_code, properties)


class MqttLink:
    """A `Link` over one connected client."""

    def __init__(self, client: aiomqtt.Client, where: str) -> None:
        self._client, self._where = client, where

    async def publish(self, said: Said) -> None:
        """Hand a message over; at QoS 1, return when the broker has it (which proves nothing)."""
        with _translated(self._where):
            await self._client.publish(said.topic, said.payload, qos=said.qos, retain=said.retain)
        _heed_cancellation()

    async def subscribe(self, topic_filter: str) -> None:
        """Ask for what matches the filter, at QoS 0."""
        with _translated(self._where):
            await self._client.subscribe(topic_filter, qos=0)
        _heed_cancellation()

    async def heard(self) -> AsyncIterator[Heard]:
        """Give what arrives."""
        with _translated(self._where):
            async for message in self._client.messages:
                if isinstance(message.payload, bytes):
                    yield Heard(topic=message.topic.value, payload=message.payload)


def _heed_cancellation() -> None:
    """Stop where we were told to: up to Python 3.11 aiomqtt's `wait_for` may swallow that."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@contextmanager
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except (aiomqtt.MqttError, OSError) as error:
        if isinstance(error, aiomqtt.MqttCodeError) and _code_of(error) in _SHUT_OUT:
            raise LinkDown(
                f"the broker {where} refuses this login: is the device enrolled or revoked,"
                " and are agent.broker.username and password right?"
            ) from error
        raise LinkDown(f"the broker {where} is not reached: {error}") from error


def _code_of(error: aiomqtt.MqttCodeError) -> int | None:
    return error.rc if isinstance(error.rc, int) else getattr(error.rc, "value", None)


def _tls_context(config: TlsConfig) -> ssl.SSLContext:
    """Make it; raises ConfigurationError where a file cannot be read or is no certificate."""
    setting, file = "ca", config.ca
    try:
        context = ssl.create_default_context(cafile=config.ca)
        if config.certificate is not None:
            setting, file = "certificate", config.certificate
            context.load_cert_chain(config.certificate, config.key)
    except OSError as error:
        why = error.strerror or error
        raise ConfigurationError(
            f"agent.broker.tls.{setting}: {file} cannot be used: {why}"
        ) from error
    return context
