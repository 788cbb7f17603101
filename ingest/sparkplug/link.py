"""The broker's side of the front door: a host application with a clean session and a STATE."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from foremend.errors import Unavailable
from foremend.log import get_logger
from ingest.intake import Arrival
from ingest.sparkplug import topics
from ingest.sparkplug.inbox import Note, Notice
from ingest.sparkplug.payload import rebirth_command

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode

    from foremend.clock import Millis, NowMs
    from foremend.settings import Settings
    from ingest.sparkplug.inbox import Inbox
    from ingest.sparkplug.topics import Node

KEEPALIVE_S: Final = 20
FAREWELL_S: Final = 2.0
"""How long to wait for the broker to take our last word."""

_log = get_logger(__name__)


class Link:
    """One stay at the broker.

    Edge nodes that wait for a primary host application keep their readings while our STATE says
    that we are not there. So we are there only while what they say can be stored.
    """

    def __init__(self, settings: Settings, inbox: Inbox, now_ms: NowMs) -> None:
        self._address = (settings.broker_host, settings.broker_port)
        self._state = topics.state_topic(settings.sparkplug_host_id)
        self._inbox = inbox
        self._now_ms = now_ms
        self._since_ms: Millis = 0
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"foremend-sparkplug-{settings.sparkplug_host_id}",
            clean_session=True,
        )
        if settings.broker_user:
            secret = settings.broker_password
            client.username_pw_set(
                settings.broker_user, secret.get_secret_value() if secret else None
            )
        if settings.broker_tls:
            client.tls_set()
        client.reconnect_delay_set(min_delay=1, max_delay=10)
        client.on_pre_connect = self._on_pre_connect
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        self._client = client

    def start(self) -> None:
        """Connect; later outages of the broker are ridden out.

        Raises:
            Unavailable: nothing listens there.
        """
        try:
            self._client.connect(*self._address, keepalive=KEEPALIVE_S)
        except OSError as error:
            host, port = self._address
            raise Unavailable(f"no MQTT broker at {host}:{port}: {error}") from error
        self._client.loop_start()

    def stop(self) -> None:
        """Say that we are away, and leave."""
        if self._client.is_connected():
            farewell = self._publish_state(online=False, at_ms=self._now_ms())
            farewell.wait_for_publish(FAREWELL_S)
        self._client.disconnect()
        self._client.loop_stop()

    def ask_for_births(self, node: Node) -> None:
        """Send an edge node the command to tell all its births."""
        self._client.publish(node.command_topic, rebirth_command(self._now_ms()), qos=0)

    def _publish_state(self, *, online: bool, at_ms: Millis) -> paho.MQTTMessageInfo:
        return self._client.publish(self._state, _state(online, at_ms), qos=1, retain=True)

    def _on_pre_connect(self, client: paho.Client, _data: object) -> None:
        # The will and the birth that follows it must tell one time, each connection its own.
        self._since_ms = self._now_ms()
        client.will_set(self._state, _state(False, self._since_ms), qos=1, retain=True)

    def _on_connect(
        self,
        client: paho.Client,
        _data: object,
        _flags: object,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        if reason.is_failure:
            _log.error("the broker refused the Sparkplug host", reason=str(reason))
            return
        client.subscribe([*topics.filters().items(), (self._state, 1)])

    def _on_subscribe(
        self,
        _client: paho.Client,
        _data: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: object,
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            _log.error("the broker refused the subscription", reasons=[str(r) for r in reasons])
            return
        self._publish_state(online=True, at_ms=self._since_ms)
        self._inbox.put(Notice.JOINED)
        _log.info("serving Sparkplug edge nodes", state=self._state)

    def _on_disconnect(
        self,
        _client: paho.Client,
        _data: object,
        _flags: object,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        self._inbox.put(Notice.MISSED)
        _log.info("the Sparkplug host left the broker", reason=str(reason))

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        if message.topic == self._state:
            self._mind_state(bytes(message.payload))
            return
        # No message id: with a clean session nothing comes again, and PUBACK is paho's own.
        arrival = Arrival(topic=message.topic, payload=bytes(message.payload), qos=0)
        self._inbox.put(Note(arrival=arrival, retained=message.retain))

    def _mind_state(self, payload: bytes) -> None:
        """Contradict an earlier connection's will that says we are away."""
        if payload != _state(True, self._since_ms):
            self._publish_state(online=True, at_ms=self._since_ms)


def _state(online: bool, at_ms: Millis) -> bytes:
    return json.dumps({"online": online, "timestamp": at_ms}).encode()
