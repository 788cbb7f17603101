"""Sends what the outbox holds, until ingest has acknowledged it.

At each connection: subscribe, say the births, then `online`; the broker leaves `offline` behind
as the last will. Messages go in the order of their keys, at most 64 unacknowledged; while a backlog
drains, new ones go beside it (see `lanes`).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

from edge_agent import lanes, policy
from edge_agent.lanes import Order
from edge_agent.link import LinkDown, Said, cause_of
from edge_agent.policy import BirthAction
from edge_agent.window import Window
from foremend import wire
from foremend.errors import MalformedMessage
from foremend.wire import Down, Up

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_agent.link import Connector, Heard, Link
    from edge_agent.messages import Key, Load, Settlement, Stored
    from foremend.clock import NowMs
    from foremend.wire import Ack, Address

LOG: Final = logging.getLogger(__name__)


class Outbox(Protocol):
    """What the publisher asks of a device's outbox."""

    @property
    def load(self) -> Load:
        """What waits in it, now."""

    async def pending(self, after: Key | None, limit: int) -> list[Stored]:
        """Give kept messages in the order of sending, past `after`; none of an undated boot."""

    async def some(self, keys: frozenset[Key]) -> list[Stored]:
        """Give those of these messages that are still kept."""

    async def newest(self) -> Key:
        """Give the key of the message that was numbered last."""

    async def settle(self, settlement: Settlement) -> None:
        """Delete what is committed; set aside what is refused."""

    async def births(self) -> dict[str, bytes]:
        """Give the births of the boots that still have messages, the present one last."""


@dataclass(slots=True, kw_only=True)
class Traffic:
    """What the publisher did since it was made."""

    messages_sent: int = 0
    resent: int = 0
    """Of these, how often a message had been sent before."""
    births: int = 0
    connections: int = 0


class Publisher:
    """Keeps one device's link up and its outbox flowing."""

    def __init__(
        self,
        *,
        address: Address,
        boot: str,
        outbox: Outbox,
        connector: Connector,
        clock: NowMs,
        steady: Callable[[], float],
        chance: Callable[[], float],
        first_resend_s: float = policy.FIRST_RESEND_S,
        order: Order = Order.OLDEST_FIRST,
        report_s: float = policy.REPORT_S,
    ) -> None:
        self.traffic: Final = Traffic()
        self.told: Callable[[Down, bytes], None] | None = None
        """Takes commands and configurations; without it they go unheard."""
        self._address = address
        self._boot = boot
        self._outbox = outbox
        self._connector = connector
        self._clock = clock
        self._steady = steady
        self._chance = chance
        self._window = Window(boot, first_resend_s=first_resend_s)
        self._order = order
        self._report_s = report_s
        self._dated = False
        self._births: dict[str, bytes] = {}
        self._said_s: dict[str, float] = {}
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Tell that the outbox has something new."""
        self._news.set()

    def dated(self) -> None:
        """Tell that messages which were held may be sent, and births have changed."""
        self._dated = True
        self.wake()

    def resend_after(self, seconds: float) -> None:
        """Wait so long for the acknowledgement of what is sent from now on."""
        self._window.first_resend_s = seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Connect, and connect again, until told to stop; then say `offline` and leave."""
        failures = 0
        while not stop.is_set():
            connections = self.traffic.connections
            try:
                async with self._connector.connect(self._status("offline")) as link:
                    await self._converse(link, stop)
            except* LinkDown as down:
                LOG.warning(
                    "no link", extra={"device": self._address.device, "error": cause_of(down)}
                )
            failures = 1 if self.traffic.connections > connections else failures + 1
            await _pause(stop, policy.reconnect_after_s(failures, self._chance()))

    async def _converse(self, link: Link, stop: asyncio.Event) -> None:
        await self._greet(link)
        device = self._address.device
        async with asyncio.TaskGroup() as group:
            sides = [
                group.create_task(self._send(link), name=f"{device} sends"),
                group.create_task(self._listen(link), name=f"{device} listens"),
                group.create_task(self._report(link), name=f"{device} reports"),
            ]
            await stop.wait()
            for side in sides:
                side.cancel()
        await link.publish(self._status("offline"))

    async def _greet(self, link: Link) -> None:
        self._window.clear()
        self._said_s.clear()
        await link.subscribe(self._address.down())
        await self._introduce(link)
        await link.publish(self._status("online"))
        self.traffic.connections += 1
        LOG.info("connected", extra={"device": self._address.device, "boot": self._boot})

    async def _introduce(self, link: Link) -> None:
        self._dated = False
        self._births = await self._outbox.births()
        for boot in self._births:
            await self._say_birth(link, boot)
        self._window.rewind()
        for first in await self._outbox.pending(None, 1):
            await self._compare(first.key)

    async def _say_birth(self, link: Link, boot: str) -> None:
        self._said_s[boot] = self._steady()
        await link.publish(Said(topic=self._address.up(Up.BIRTH), payload=self._births[boot]))
        self.traffic.births += 1

    async def _send(self, link: Link) -> None:
        while True:
            self._news.clear()
            if self._dated:
                await self._introduce(link)
            batch = [*await self._again(), *await self._fresh()]
            if batch:
                await self._publish(link, batch)
            else:
                await self._wait()

    async def _again(self) -> list[Stored]:
        overdue = self._window.overdue(self._steady())
        if not overdue:
            return []
        found = await self._outbox.some(overdue)
        # What the outbox gave up while in flight is a gap by now.
        self._window.forget(overdue - {message.key for message in found})
        return found

    async def _fresh(self) -> list[Stored]:
        window = self._window
        behind = window.horizon is not None
        room = lanes.shares(
            size=window.size, free=window.free, fresh_flying=window.fresh_flying, behind=behind
        )
        fresh = await self._outbox.pending(window.fresh, room.fresh) if room.fresh else []
        left = window.free - len(fresh)
        return [*fresh, *await self._backlog(left)] if left > 0 else fresh

    async def _backlog(self, room: int) -> list[Stored]:
        """Give what comes next of the backlog; where there is none, of everything."""
        window = self._window
        kept = await self._outbox.pending(window.cursor, room + window.flying_ahead)
        old = [message for message in kept if not window.is_fresh(message.key)]
        if not old and window.horizon is not None:
            window.catch_up()
            return await self._backlog(room)
        if len(old) >= room and window.horizon is None:
            await self._compare(old[-1].key)
        return [message for message in old if not window.is_flying(message.key)][:room]

    async def _compare(self, sent: Key) -> None:
        """Open a lane for new readings where what goes now is far behind them."""
        if self._order is Order.FRESH_BESIDE:
            newest = await self._outbox.newest()
            if lanes.lags(sent, newest):
                self._window.fall_behind(newest)

    async def _publish(self, link: Link, batch: Sequence[Stored]) -> None:
        # An acknowledgement may overtake the PUBACK, so all are in flight before the first goes.
        for message in batch:
            self.traffic.resent += self._window.send(message, self._steady())
            self.traffic.messages_sent += 1
        said = (Said(topic=self._address.up(m.kind), payload=m.payload) for m in batch)
        await asyncio.gather(*(link.publish(one) for one in said))

    async def _wait(self) -> None:
        due_s = self._window.next_due_s()
        try:
            async with asyncio.timeout(None if due_s is None else max(0.0, due_s - self._steady())):
                await self._news.wait()
        except TimeoutError:
            return

    async def _report(self, link: Link) -> None:
        """Say now and then how much waits, where that has changed."""
        said = self._outbox.load.unsettled
        while True:
            await asyncio.sleep(self._report_s)
            if self._outbox.load.unsettled != said:
                said = self._outbox.load.unsettled
                await link.publish(self._status("online"))

    async def _listen(self, link: Link) -> None:
        async for heard in link.heard():
            if heard.topic == self._address.down(Down.ACK):
                await self._acknowledged(link, heard)
            elif self.told is not None:
                for kind in (Down.COMMAND, Down.CONFIG):
                    if heard.topic == self._address.down(kind):
                        self.told(kind, heard.payload)

    async def _acknowledged(self, link: Link, heard: Heard) -> None:
        try:
            ack = wire.decode_ack(heard.payload)
        except MalformedMessage as error:
            LOG.warning("an acknowledgement cannot be read", extra={"error": str(error)})
            return
        await self._settle(ack)
        if ack.birth_wanted:
            await self._answer(link, ack.boot)
        self.wake()

    async def _settle(self, ack: Ack) -> None:
        settlement = self._window.settle(ack)
        for key, reason in settlement.refused:
            LOG.error(
                "ingest refused a message; it is a dead letter now",
                extra={"device": self._address.device, "seq": key.seq, "reason": reason},
            )
        if settlement.spans or settlement.refused:
            await self._outbox.settle(settlement)

    async def _answer(self, link: Link, boot: str) -> None:
        decision = policy.decide_birth(
            known=boot in self._births, said_s=self._said_s.get(boot), now_s=self._steady()
        )
        if decision.action is BirthAction.SAY:
            await self._say_birth(link, boot)
        self._window.hasten(boot, self._steady() + decision.resend_in_s)
        LOG.info("birth wanted", extra={"boot": boot, "reason": decision.reason.value})

    def _status(self, state: Literal["online", "offline"]) -> Said:
        # A last will is written long before it is read.
        unsettled = self._outbox.load.unsettled if state == "online" else None
        status = wire.Status(boot=self._boot, state=state, ts_ms=self._clock(), unsettled=unsettled)
        return Said(topic=self._address.up(Up.STATUS), payload=wire.encode(status), retain=True)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
