"""The broker's side of ingest: paho with manual acknowledgement, on its own network thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from foremend import ready, wire
from foremend.errors import Unavailable
from foremend.log import get_logger
from ingest.intake import Arrival

if TYPE_CHECKING:
    import queue

    from paho.mqtt.reasoncodes import ReasonCode

    from foremend.settings import Settings
    from ingest.acks import Told

KEEPALIVE_S: Final = 20

_log = get_logger(__name__)


class Subscriber:
    """Receives everything that devices say and puts it into `inbox`.

    The session is persistent: what arrives while no worker is there waits at the broker. That is
    a convenience; the truth until our own acknowledgement is the device's outbox.
    """

    def __init__(self, settings: Settings, inbox: queue.SimpleQueue[Arrival], name: str) -> None:
        self._address = (settings.broker_host, settings.broker_port)
        self._inbox = inbox
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=name, clean_session=False, manual_ack=True
        )
        if settings.broker_user:
            secret = settings.broker_password
            client.username_pw_set(
                settings.broker_user, secret.get_secret_value() if secret else None
            )
        if settings.broker_tls:
            client.tls_set()
        client.max_inflight_messages_set(0)
        client.reconnect_delay_set(min_delay=1, max_delay=10)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        self._client = client

    def start(self) -> None:
        """Connect, now or as soon as the broker is there; later outages are ridden out.

        Raises:
            Unavailable: the broker's name cannot be resolved, or nothing listens there yet.
        """
        try:
            self._client.connect(*self._address, keepalive=KEEPALIVE_S)
        except OSError as error:
            host, port = self._address
            raise Unavailable(f"no MQTT broker at {host}:{port}: {error}") from error
        self._client.loop_start()

    def stop(self) -> None:
        """Leave the broker in good order."""
        self._client.disconnect()
        self._client.loop_stop()

    def puback(self, arrival: Arrival) -> None:
        """Tell the broker that this delivery need not be repeated."""
        if arrival.qos:
            self._client.ack(arrival.mid, arrival.qos)

    def tell(self, told: Told) -> None:
        """Send a committed acknowledgement; QoS 0, since it repeats on every duplicate."""
        self._client.publish(told.address.down(wire.Down.ACK), wire.encode(told.ack), qos=0)

    def _on_connect(
        self,
        client: paho.Client,
        _data: object,
        _flags: object,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        if reason.is_failure:
            _log.error("the broker refused us", reason=str(reason))
            return
        client.subscribe(wire.up_filter(), qos=1)

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
        _log.info("subscribed", filter=wire.up_filter())
        ready.announce()

    def _on_disconnect(
        self,
        _client: paho.Client,
        _data: object,
        _flags: object,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        _log.info("left the broker", reason=str(reason))

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self._inbox.put(
            Arrival(
                topic=message.topic,
                payload=bytes(message.payload),
                mid=message.mid,
                qos=message.qos,
            )
        )
