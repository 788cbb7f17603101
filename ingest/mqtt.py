"""The broker's side of ingest: a subscriber that acknowledges by hand, on a thread of its own."""

from __future__ import annotations

import itertools
import random
import threading
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from msgspec import structs

from foremend import ready, wire
from foremend.errors import Unavailable
from foremend.log import get_logger
from ingest import packets
from ingest.intake import TOPICS_REMEMBERED, Arrival, read
from ingest.line import HungUp, Line, dial, greet, refused
from ingest.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from foremend.settings import Settings
    from ingest.acks import Told
    from ingest.inbox import Inbox
    from ingest.packets import Control, Publish

KEEPALIVE_S: Final = 20
SILENCE_S: Final = 30.0
"""Without a word of the broker, though we asked and listened: the connection is dead."""
MOST_RECALLED: Final = 32_768
FULL_PAUSE_S: Final = 0.02
LONGEST_PAUSE_S: Final = 5.0

_log = get_logger(__name__)
_origins: Final = itertools.count(1)


@lru_cache(TOPICS_REMEMBERED)
def _topic(encoded: bytes) -> str:
    return encoded.decode("utf-8", "replace")


@lru_cache(TOPICS_REMEMBERED)
def _ack_topic(address: wire.Address) -> bytes:
    return address.down(wire.Down.ACK).encode()


def forget_sessions(settings: Settings, names: Iterable[str]) -> None:
    """End sessions of another way to share the work, lest the broker keep everything for them."""
    for name in names:
        try:
            greet(settings, name)
        except Unavailable as error:
            _log.info("an old session may be left at the broker", name=name, error=str(error))


class Subscriber:
    """Receives everything that devices say and puts it into `inbox`, as long as that has room.

    The session is persistent: what arrives while no worker is there waits at the broker. That is
    a convenience; the truth until our own acknowledgement is the device's outbox. Once the inbox
    is full nothing more is read, and the broker holds back.
    """

    def __init__(
        self,
        settings: Settings,
        inbox: Inbox,
        name: str,
        *,
        filters: Sequence[str] = (wire.up_filter(),),
        died: Callable[[BaseException], None] = lambda _: None,
        welcome: Callable[[], None] = ready.announce,
    ) -> None:
        self._settings = settings
        self._inbox = inbox
        self._name = name
        self._filters = filters
        self._died = died
        self._welcome = welcome
        self._line: Line | None = None
        self._origin = 0
        self._recalled: set[tuple[wire.Address, str]] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"mqtt-{name}", daemon=True)

    def start(self) -> None:
        """Connect; later outages are ridden out.

        Raises:
            Unavailable: the broker's name cannot be resolved, or nothing listens there yet.
        """
        self._dial()
        self._thread.start()

    def begin(self) -> None:
        """Connect as soon as the broker is there; never waits."""
        self._thread.start()

    def present(self) -> bool:
        """Whether the broker hears us."""
        return self._line is not None

    def stop(self) -> None:
        """Leave the broker in good order, after what was said is sent."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=10)

    def puback(self, arrivals: Sequence[Arrival]) -> None:
        """Tell the broker that these deliveries need not be repeated."""
        origin, line = self._origin, self._line
        mids = [a.mid for a in arrivals if a.qos and a.origin == origin]
        if mids and line is not None:
            line.send(packets.pubacks(mids))

    def tell(self, told: Sequence[Told]) -> None:
        """Send committed acknowledgements; QoS 0, since each repeats on every duplicate."""
        line = self._line
        if not told or line is None:
            return
        said = [
            packets.publish(_ack_topic(t.address), wire.encode(self._recalling(t))) for t in told
        ]
        if not line.send(b"".join(said)):
            METRICS.acks_dropped.inc(len(said))

    def _recalling(self, told: Told) -> wire.Ack:
        """Have each boot send again, once, what a session that is lost may have swallowed.

        What the broker took before we subscribed it gave to nobody; the device would wait for its
        resend, which is half a minute.
        """
        boot = (told.address, told.ack.boot)
        if self._recalled is None or not told.ack.boot or boot in self._recalled:
            return told.ack
        if len(self._recalled) >= MOST_RECALLED:
            # Boots can be made up without end; the rest is left to the devices' resends.
            self._recalled = None
            return told.ack
        self._recalled.add(boot)
        return structs.replace(told.ack, birth_wanted=True)

    def retire(self) -> None:
        """Leave the broker soon; never waits."""
        self._stopped.set()

    def _serve(self) -> None:
        pause_s = 0.1
        try:
            while not self._stopped.is_set():
                try:
                    if self._line is None:
                        self._dial()
                    pause_s = 0.1
                    self._listen()
                except (Unavailable, packets.BrokenStream) as error:
                    self._hang_up()
                    _log.info("without the broker", error=str(error), pause_s=pause_s)
                    self._stopped.wait(pause_s * random.uniform(0.5, 1))  # noqa: S311 - jitter
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            self._leave()
        except BaseException as error:
            self._died(error)
            raise

    def _dial(self) -> None:
        line = dial(self._settings, self._name, keepalive_s=KEEPALIVE_S, clean=False)
        line.send(packets.subscribe(1, self._filters))
        self._recalled = None if line.session_present else set()
        self._origin, self._line = next(_origins), line

    def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _leave(self) -> None:
        line, self._line = self._line, None
        if line is None:
            return
        line.send(packets.DISCONNECT)
        try:
            line.flush(2.0)
            line.await_end(2.0)
        except OSError as error:
            _log.info("left the broker", error=str(error))
        line.close()

    def _listen(self) -> None:
        line = self._line
        assert line is not None  # noqa: S101 - dialled by the caller
        heard = pinged = time.monotonic()
        while not self._stopped.is_set():
            reading = self._inbox.has_room()
            messages, others = line.turn(0.25 if reading else FULL_PAUSE_S, reading=reading)
            now = time.monotonic()
            if messages:
                # Read here, while the other thread waits for the database.
                self._inbox.put([read(self._arrival(m)) for m in messages])
            for other in others:
                self._take(other)
            if messages or others or not reading:
                # Where nothing is read, nothing can be heard either.
                heard = now
            if now - pinged > KEEPALIVE_S / 2:
                line.send(packets.PING)
                pinged = now
            if now - heard > SILENCE_S:
                raise HungUp(f"the broker has said nothing for {SILENCE_S:.0f} s")

    def _arrival(self, message: Publish) -> Arrival:
        topic, payload, mid = message
        return Arrival(
            topic=_topic(topic), payload=payload, mid=mid, qos=1 if mid else 0, origin=self._origin
        )

    def _take(self, packet: Control) -> None:
        if packet.kind != packets.SUBACK:
            return
        lost = [self._filters[n] for n in refused(packet.body)]
        if lost:
            _log.error("the broker refused a subscription", filters=lost)
            return
        _log.info("subscribed", filters=list(self._filters))
        self._welcome()
