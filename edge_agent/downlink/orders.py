"""Does what signed commands say, each once, and answers every one of them.

A command is remembered, and its acceptance kept for sending, in one transaction before it runs:
whenever the agent is killed it runs at most once, and one that was cut short is answered `failed`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol

from edge_agent.downlink import journal
from edge_agent.downlink.decide import Action, Reason, Standing, decide_command
from edge_agent.downlink.journal import INTERRUPTED, Answer, Memory
from edge_agent.downlink.keys import Unsigned
from edge_agent.framing import event_draft
from edge_agent.outbox.store import LOST
from edge_agent.source import Happening
from foremend import wire
from foremend.errors import ForemendError, MalformedMessage
from foremend.wire import Down

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edge_agent.downlink.decide import Decision
    from edge_agent.downlink.keys import Keyring
    from edge_agent.downlink.kinds import Commandable
    from edge_agent.downlink.twin import Twin
    from edge_agent.messages import Draft
    from foremend.clock import Millis
    from foremend.wire import Address, Command

LOG: Final = logging.getLogger(__name__)
ROOM: Final = 16
"""Messages that wait to be looked at; more are dropped, since they repeat."""
LONGEST_RUN_S: Final = 600.0
REST_S: Final = 1.0
"""A duplicate is answered again, and an unsigned message told of, no sooner than this."""
UNSIGNED: Final = "downlink_unsigned"
"""Code of the event that says that somebody else gave orders."""


class Outbox(Protocol):
    """What the downlink asks of a device's outbox."""

    def append(
        self, *drafts: Draft, notes: Mapping[str, bytes | None] | None = None
    ) -> asyncio.Future[None]:
        """Keep drafts and notes, all or none; the future is done when they are on the disk."""

    async def notes(self) -> dict[str, bytes]:
        """Give what was remembered."""

    def hurry(self) -> None:
        """Let what was appended go to the disk at once."""


class Device(Protocol):
    """How the device stands."""

    @property
    def address(self) -> Address:
        """Who it is."""

    @property
    def phase(self) -> int:
        """What it is doing, by its last frame."""

    @property
    def now_ms(self) -> Millis | None:
        """The present on its timeline; None while the clock cannot be trusted."""


class Downlink:
    """One device's ear; `hear` what comes, while `run` runs."""

    def __init__(
        self,
        *,
        device: Device,
        outbox: Outbox,
        keyring: Keyring,
        able: Sequence[Commandable],
        twin: Twin,
        kept: Callable[[], None],
        steady: Callable[[], float],
        live: bool = True,
        packed: bool = False,
    ) -> None:
        self._device = device
        self._live = live
        self._outbox = outbox
        self._keyring = keyring
        self._able = {kind: one for one in reversed(able) for kind in one.kinds}
        self._kinds = {kind: one.kinds[kind] for kind, one in self._able.items()}
        self._twin = twin
        self._kept = kept
        self._steady = steady
        self._packed = packed
        self._heard: asyncio.Queue[tuple[Down, bytes]] = asyncio.Queue(ROOM)
        self._memory = Memory()
        self._running = False
        self._said_s: dict[str, float] = {}

    def hear(self, kind: Down, payload: bytes) -> None:
        """Take a message in; it is looked at in its turn."""
        if not self._heard.full():
            self._heard.put_nowait((kind, payload))

    async def run(self) -> None:
        """Obey, until cancelled."""
        notes = await self._outbox.notes()
        self._memory = journal.decode(notes)
        await self._twin.begin(notes)
        while self._device.now_ms is None:  # noqa: ASYNC110 - a clock tells nobody
            # An answer needs an instant, and expiry a clock: before that, nothing is obeyed.
            await asyncio.sleep(REST_S)
        await self._recover(notes, self._device.now_ms)
        async with asyncio.TaskGroup() as group:
            while True:
                command = await self._look_at(*await self._heard.get())
                if command is not None:
                    self._running = True
                    group.create_task(self._obey(command), name=f"command {command.id}")

    async def _recover(self, notes: Mapping[str, bytes], now_ms: Millis) -> None:
        """Answer what was cut short, and pass over all that was issued before a loss of memory."""
        for answer in self._memory.unfinished:
            await self._answer(Answer(id=answer.id, state="failed", reason=INTERRUPTED))
        if LOST in notes:
            if self._live:
                # Numbers are never below their issuer's clock: what was issued so far is passed.
                self._memory = Memory(counter=max(self._memory.counter, now_ms))
            await self._keep(notes={LOST: None})

    async def _look_at(self, kind: Down, payload: bytes) -> Command | None:
        """Verify, then read, then decide; give the command that is to be run."""
        try:
            body = self._keyring.opened(payload)
            if kind is Down.CONFIG:
                await self._configure(wire.decode_config(body))
                return None
            command = wire.decode_command(body)
        except Unsigned as refused:
            await self._tell_of(refused)
            return None
        except MalformedMessage as error:
            LOG.warning("what was signed cannot be read", extra={"error": str(error)})
            return None
        return await self._take(command)

    async def _take(self, command: Command) -> Command | None:
        decision = decide_command(command, self._standing())
        LOG.info("command", extra={"id": command.id, "reason": decision.reason.value})
        if decision.action is Action.ACCEPT:
            await self._answer(Answer(id=command.id, state="accepted"), command.counter)
            return command
        await self._decline(command, decision)
        return None

    async def _decline(self, command: Command, decision: Decision) -> None:
        if not self._may_say(command.id):
            return
        if decision.action is Action.ANSWER_AGAIN:
            known = self._memory.of(command.id)
            if known is not None:
                await self._keep(known)
        elif decision.action is Action.REFUSE:
            refused = Answer(id=command.id, state="refused", reason=decision.reason.value)
            ours = decision.reason is not Reason.OTHER_DEVICE
            await self._answer(refused, command.counter if ours else None)

    async def _obey(self, command: Command) -> None:
        try:
            async with asyncio.timeout(LONGEST_RUN_S):
                details = await self._able[command.kind].run(command.kind, command.args)
            answer = Answer(id=command.id, state="finished", details=details)
        except TimeoutError:
            answer = Answer(id=command.id, state="failed", reason="timeout")
        except ForemendError as error:
            answer = Answer(id=command.id, state="failed", reason=str(error)[:256])
        await self._answer(answer)
        self._running = False

    async def _configure(self, config: wire.Config) -> None:
        answer, notes = self._twin.take(config)
        if notes or self._may_say(answer.id):
            await self._keep(answer, notes)

    async def _answer(self, answer: Answer, counter: int | None = None) -> None:
        self._memory = self._memory.with_answer(answer, counter)
        await self._keep(answer, journal.encode(self._memory))

    async def _keep(
        self, answer: Answer | None = None, notes: Mapping[str, bytes | None] | None = None
    ) -> None:
        now_ms = self._device.now_ms or 0
        drafts = [] if answer is None else [journal.draft(answer, now_ms, packed=self._packed)]
        await self._append(drafts, {**journal.encode(self._memory), **(notes or {})})

    async def _tell_of(self, refused: Unsigned) -> None:
        now_ms = self._device.now_ms
        if now_ms is not None and self._may_say(f"{UNSIGNED} {refused.reason}"):
            details = {"reason": refused.reason, "kid": refused.kid}
            LOG.error("an order is not signed", extra=details)
            happening = Happening(ts_ms=now_ms, code=UNSIGNED, severity="warning", details=details)
            await self._append([event_draft(happening, packed=self._packed)], {})

    async def _append(self, drafts: Sequence[Draft], notes: Mapping[str, bytes | None]) -> None:
        kept = self._outbox.append(*drafts, notes=notes)
        self._outbox.hurry()
        await kept
        self._kept()

    def _may_say(self, what: str) -> bool:
        """Tell whether this was not said just now: whoever repeats a message fills no outbox."""
        now_s = self._steady()
        self._said_s = {k: said for k, said in self._said_s.items() if now_s - said < REST_S}
        if what in self._said_s:
            return False
        self._said_s[what] = now_s
        return True

    def _standing(self) -> Standing:
        return Standing(
            address=self._device.address,
            now_ms=self._device.now_ms,
            phase=self._device.phase,
            busy=self._running,
            kinds=self._kinds,
            counter=self._memory.counter,
            answered={answer.id for answer in self._memory.answers},
        )
