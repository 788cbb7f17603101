"""The courier's link to the broker: paho, a clean session, nothing asked for."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from foremend.errors import Unavailable

if TYPE_CHECKING:
    from foremend.settings import Settings

KEEPALIVE_S: Final = 20


class MqttVoice:
    """Speaks to devices over MQTT; what is said while the broker is away is lost, and repeated."""

    def __init__(self, settings: Settings) -> None:
        self._address = (settings.broker_host, settings.broker_port)
        name = f"foremend-courier-{secrets.token_hex(4)}"
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=True)
        if settings.broker_user:
            secret = settings.broker_password
            word = secret.get_secret_value() if secret else None
            client.username_pw_set(settings.broker_user, word)
        if settings.broker_tls:
            client.tls_set()
        client.reconnect_delay_set(min_delay=1, max_delay=10)
        self._client = client

    def start(self) -> None:
        """Connect; later outages are ridden out.

        Raises:
            Unavailable: the broker is not there.
        """
        try:
            self._client.connect(*self._address, keepalive=KEEPALIVE_S)
        except OSError as error:
            host, port = self._address
            raise Unavailable(f"no MQTT broker at {host}:{port}: {error}") from error
        self._client.loop_start()

    def close(self) -> None:
        """Leave the broker in good order."""
        self._client.disconnect()
        self._client.loop_stop()

    def say(self, topic: str, payload: bytes) -> None:
        """Send at QoS 0, so that nothing is kept for whoever is not there."""
        if self._client.is_connected():
            self._client.publish(topic, payload, qos=0)
