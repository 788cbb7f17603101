"""Who sees a soak from outside: one listens at the broker, the other at OctoPrint."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from foremend import wire
from foremend.errors import Unavailable
from foremend.wire import Down
from stack.soak.verdict import CHANNELS, Entry, Row

if TYPE_CHECKING:
    from stack.drill.octoprint import OctoPrint
    from stack.embedded.broker import EmbeddedBroker

HEATERS: Final = (("tool0", "actual"), ("tool0", "target"), ("bed", "actual"), ("bed", "target"))
"""Where OctoPrint tells what stands in CHANNELS."""
PATIENCE_S: Final = 10.0


@dataclass(slots=True)
class BrokerWitness:
    """Notes every frame that is sent, and which of them were acknowledged."""

    broker: EmbeddedBroker
    tenant: str
    sent: dict[tuple[str, int], tuple[Row, ...]] = field(default_factory=dict)
    acked: dict[tuple[str, int], tuple[Row, ...]] = field(default_factory=dict)
    newest_acked_ms: int = 0
    """The instant of the newest acknowledged frame that tells the hot end's temperature."""
    places: tuple[int, ...] = ()
    """Where a row's values stand in a frame, by the device's birth."""
    _client: paho.Client = field(init=False)

    def __enter__(self) -> Self:
        client = self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="soak-witness")
        login = self.broker.services
        client.username_pw_set(login.user, login.password)
        listening = threading.Event()
        client.on_message = lambda _client, _told, message: self._hear(message)
        client.on_connect = self._subscribe
        client.on_subscribe = lambda *_: listening.set()
        client.connect(self.broker.host, self.broker.port)
        client.loop_start()
        if not listening.wait(PATIENCE_S):
            raise Unavailable("the broker does not let the witness in")
        return self

    def __exit__(self, *_error: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _subscribe(self, client: paho.Client, *_answer: object) -> None:
        client.subscribe(f"fm/1/+/{self.tenant}/#", qos=1)

    def _hear(self, message: paho.MQTTMessage) -> None:
        payload = bytes(message.payload)
        if message.topic.endswith(f"/down/{Down.ACK.value}"):
            self._acknowledge(wire.decode_ack(payload))
        elif "/up/" in message.topic:
            _, kind = wire.parse_up(message.topic)
            self._note(wire.decode_up(kind, payload))

    def _note(self, said: wire.UpMessage) -> None:
        if isinstance(said, wire.Birth):
            self.places = _places(said)
        elif isinstance(said, wire.Data):
            self.sent.setdefault((said.boot, said.seq), self._rows(said))

    def _rows(self, data: wire.Data) -> tuple[Row, ...]:
        frames, places = data.frames, self.places
        return tuple(
            Row(
                boot=data.boot,
                seq=data.seq,
                ts_ms=frames.t0_ms + offset_ms,
                values=tuple(frames.values[place][at] for place in places),
            )
            for at, offset_ms in enumerate(frames.offset_ms)
        )

    def _acknowledge(self, ack: wire.Ack) -> None:
        for boot, seq in self.sent.keys() - self.acked.keys():
            within = any(first <= seq <= last for first, last in ((0, ack.upto), *ack.ranges))
            if boot == ack.boot and within:
                rows = self.acked[boot, seq] = self.sent[boot, seq]
                known = (row.ts_ms for row in rows if row.values[0] is not None)
                self.newest_acked_ms = max(self.newest_acked_ms, *known, 0)


def _places(birth: wire.Birth) -> tuple[int, ...]:
    """Give where the compared channels stand, and behind them all others."""
    names = [channel.name for channel in birth.channels]
    compared = [names.index(name) for name in CHANNELS]
    return (*compared, *(place for place in range(len(names)) if place not in compared))


@dataclass(slots=True)
class OctoPrintWitness:
    """Notes every temperature that OctoPrint tells, by a connection of its own."""

    server: OctoPrint
    told: list[Entry] = field(default_factory=list)
    failed: str = ""
    """Why it saw no more, where it did not see all."""
    _over: threading.Event = field(default_factory=threading.Event)
    _undo: ExitStack = field(init=False, default_factory=ExitStack)

    def __enter__(self) -> Self:
        socket = self._undo.enter_context(
            connect(f"ws{self.server.url[4:]}/sockjs/websocket", compression=None, proxy=None)
        )
        login = self.server.rest.post("/api/login", json={"passive": True}).json()
        socket.send(json.dumps({"auth": f"{login['name']}:{login['session']}"}))
        socket.send(json.dumps({"subscribe": {"state": {"logs": False, "messages": False}}}))
        listening = threading.Thread(target=self._listen, args=(socket,), name="octoprint witness")
        listening.start()
        self._undo.callback(listening.join)
        self._undo.callback(self._over.set)
        return self

    def __exit__(self, *_error: object) -> None:
        self._undo.close()

    def _listen(self, socket: Any) -> None:  # noqa: ANN401 - as websockets types it
        try:
            while not self._over.is_set():
                try:
                    message = json.loads(socket.recv(timeout=0.5))
                except TimeoutError:
                    continue
                self._take(message)
        except (WebSocketException, OSError) as error:
            self.failed = f"the witness at OctoPrint saw no more: {error}"

    def _take(self, message: dict[str, Any]) -> None:
        state = message.get("current") or message.get("history") or {}
        for temps in state.get("temps", ()):
            values = tuple(temps.get(heater, {}).get(field) for heater, field in HEATERS)
            self.told.append(Entry(at_ms=1000 * int(temps["time"]), values=values))
