"""The gate of a nats-server: its authorization service, and the one who shows people out.

Where this is away, or the database is, whoever is in stays in; whoever comes is refused by the
broker and tries again.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Final, Protocol

import nats
from nats.errors import Error as NatsError

from foremend.errors import MalformedMessage, Unavailable
from foremend.log import get_logger
from ingest.gate import callout, connz, metrics
from ingest.gate.decide import Action, StayAction, decide, decide_stay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

    from ingest.gate.callout import Request
    from ingest.gate.decide import Credential, Session
    from ingest.gate.nkey import Issuer

QUEUE: Final = "foremend-gate"
"""Of several gates one answers."""
BATCH: Final = 256
"""Questions that are looked up together, when a whole fleet comes back at once."""
RECONNECT_S: Final = 0.5
UNAVAILABLE: Final = "unavailable"
"""Why nobody is let in while the database is away."""
_FIRST_REPLY_S: Final = 2.0
_MORE_REPLIES_S: Final = 0.2
"""How long the other servers of a cluster may answer later than the first."""

_log = get_logger(__name__)


class Register(Protocol):
    """Knows devices' credentials."""

    def of(self, logins: Iterable[str]) -> Mapping[str, Credential]:
        """Give the credentials of those logins that have any; raises Unavailable."""


class NatsGate:
    """Answers the broker; `open` it, then let `serve` run."""

    def __init__(self, *, url: str, system_url: str, issuer: Issuer, register: Register) -> None:
        self._urls = (url, system_url)
        self._issuer = issuer
        self._register = register
        self._waiting: asyncio.Queue[tuple[float, Msg]] = asyncio.Queue()
        self._door: Client
        self._system: Client

    async def open(self) -> None:
        """Begin to listen for questions.

        Raises:
            Unavailable: the broker is not there.
        """
        self._door, self._system = [await _connected(url) for url in self._urls]
        await self._door.subscribe(callout.SUBJECT, queue=QUEUE, cb=self._asked)
        await self._door.flush()

    async def close(self) -> None:
        """Leave the broker."""
        for client in (self._door, self._system):
            await client.close()

    async def serve(self) -> None:
        """Answer, batch after batch, until cancelled."""
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            # What the broker no longer waits for was refused by it.
            late = time.monotonic() - callout.PATIENCE_S
            await self._answer([message for asked_at, message in batch if asked_at > late])

    async def sessions_of(self, logins: Iterable[str]) -> list[Session]:
        """Give the sessions that devices of these logins have."""
        asked = (self._ask(connz.PING, connz.of_client(login)) for login in logins)
        pages = await asyncio.gather(*asked)
        return connz.devices_of([session for page in pages for session in page])

    async def everybody(self) -> list[Session]:
        """Give the sessions of all devices."""
        found: list[Session] = []
        for number in count():
            page = await self._ask(connz.PING, connz.of_page(number))
            if not page:
                break
            found += page
        return connz.devices_of(found)

    async def cut(self, sessions: Sequence[Session], valid: Mapping[str, Credential]) -> int:
        """End those sessions that may not stay; gives their number.

        Raises:
            Unavailable: the broker does not answer; what is left is cut in the next round.
        """
        number = 0
        for session in sessions:
            decision = decide_stay(session, valid.get(session.login))
            if decision.action is StayAction.CUT:
                await self._kick(session)
                metrics.CUT.labels(decision.reason.value).inc()
                _log.info("cut off", login=session.login, reason=decision.reason.value)
                number += 1
        return number

    async def _kick(self, session: Session) -> None:
        try:
            # The server does nothing for whoever gives it nowhere to answer.
            await self._system.request(*connz.kick(session), timeout=_FIRST_REPLY_S)
        except NatsError as error:
            raise Unavailable(f"a session could not be ended: {error!r}") from error

    async def _asked(self, message: Msg) -> None:
        self._waiting.put_nowait((time.monotonic(), message))

    async def _answer(self, messages: list[Msg]) -> None:
        answers = await asyncio.to_thread(self._decide, [message.data for message in messages])
        for message, answer in zip(messages, answers, strict=True):
            if answer:
                await message.respond(answer)

    def _decide(self, tokens: list[bytes]) -> list[bytes]:
        """Decide on each question; one that cannot be read is answered with nothing."""
        requests = [_readable(token) for token in tokens]
        logins = {request.asked.login for request in requests if request}
        now_s = int(time.time())
        try:
            known = self._register.of(logins)
        except Unavailable as error:
            _log.warning("nobody is let in", error=str(error))
            return [self._refusal(r, UNAVAILABLE, now_s) if r else b"" for r in requests]
        return [self._verdict(r, known.get(r.asked.login), now_s) if r else b"" for r in requests]

    def _verdict(self, request: Request, credential: Credential | None, now_s: int) -> bytes:
        decision = decide(request.asked, credential)
        if decision.action is Action.ADMIT and credential is not None:
            metrics.LOGINS.labels(Action.ADMIT.value, decision.reason.value).inc()
            return callout.admit(request, credential, self._issuer, now_s=now_s)
        _log.info("refused", login=request.asked.login[:64], reason=decision.reason.value)
        return self._refusal(request, decision.reason.value, now_s)

    def _refusal(self, request: Request, reason: str, now_s: int) -> bytes:
        metrics.LOGINS.labels(Action.REFUSE.value, reason).inc()
        return callout.refuse(request, reason, self._issuer, now_s=now_s)

    async def _ask(self, subject: str, payload: bytes) -> list[Session]:
        """Ask every server of the cluster; how many there are is not known."""
        try:
            inbox = self._system.new_inbox()
            replies = await self._system.subscribe(inbox)
            await self._system.publish(subject, payload, reply=inbox)
            found = [s async for s in _gathered(replies)]
            await replies.unsubscribe()
        except NatsError as error:
            raise Unavailable(f"the broker does not tell of its sessions: {error!r}") from error
        return found


async def _gathered(replies: Subscription) -> AsyncIterator[Session]:
    patience_s = _FIRST_REPLY_S
    with suppress(TimeoutError):
        while True:
            message = await replies.next_msg(timeout=patience_s)
            for session in connz.sessions(message.data):
                yield session
            patience_s = _MORE_REPLIES_S


def _readable(token: bytes) -> Request | None:
    try:
        return callout.read_request(token)
    except MalformedMessage as error:
        _log.error("a question cannot be read", reason=error.reason, error=str(error))
        return None


async def _connected(url: str) -> Client:
    async def complain(error: Exception) -> None:
        _log.warning("the broker's own port", error=str(error) or type(error).__name__)

    try:
        return await nats.connect(
            url,
            name="foremend-gate",
            error_cb=complain,
            allow_reconnect=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_S,
            connect_timeout=5,
        )
    except (NatsError, OSError) as error:
        raise Unavailable(f"the broker's own port does not answer: {error}") from error
