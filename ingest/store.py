"""One batch, one transaction; what the database refuses is found and set aside within it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg.conninfo import make_conninfo

from foremend import wire
from foremend.db import EVERY_TENANT, Queries, transaction
from foremend.errors import Unavailable
from ingest import quarantine
from ingest.batch import Batch, Committed, Overtaken, Terms, touch_devices
from ingest.bisect import sift
from ingest.intake import refuse
from ingest.known import Known
from ingest.late import Lane, SectionLocked
from ingest.room import make_room

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from foremend.clock import Millis
    from foremend.db import Connection
    from ingest.intake import Accepted, Refused

PRUNE_EVERY_S: Final = 60.0
WARY_S: Final = 60.0
"""How long only the newest section counts as live, once a live commit has met a locked one."""
LOCK_WAIT: Final = {Lane.ALL: "30s", Lane.LIVE: "2s", Lane.LATE: "1s"}
STATEMENT_WAIT: Final = "30s"
IDLE_WAIT: Final = "5s"
"""A worker that stopped in the midst of a transaction holds up others no longer than this."""
POISON: Final = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.RaiseException,
    psycopg.errors.ProgramLimitExceeded,
)
"""What a message is at fault for. Everything else, such as a full disk, a lost right or a server
that turned read-only, would befall any message: it is waited out, and nothing is refused for it."""
UNSTORABLE: Final = "unstorable"
_SQL: Final = Queries.load("ingest", "ingest.sql")


@dataclass(slots=True)
class PostgresStore:
    """Stores batches over one connection; the caller makes a new one when the server is gone."""

    connection: Connection
    lane: Lane = Lane.ALL
    fences: Callable[[], Mapping[int, int] | None] = lambda: None
    """Which partitions this worker has leased, with their fences; None for all, unfenced."""
    monotonic: Callable[[], float] = time.monotonic
    _known: Known = field(default_factory=Known)
    _wary_until: float = float("-inf")
    _pruned_at: float = float("-inf")
    _set_up: bool = False

    def commit(
        self, accepted: Sequence[Accepted], refused: Sequence[Refused], now_ms: Millis
    ) -> Committed:
        """Store a batch; each message whole, or refused, or named as late.

        Raises:
            Unavailable: the database is gone, or could not do it now; nothing was stored.
            SectionLocked: somebody holds a section that was written to; nothing was stored.
            LeaseLost: another worker has taken over a partition; nothing was stored.
        """
        try:
            return self._commit(accepted, refused, now_ms)
        except psycopg.errors.LockNotAvailable as error:
            # Somebody holds an old section: what may lie in one goes another way from now on.
            self._wary_until = self.monotonic() + WARY_S
            raise SectionLocked from error
        except psycopg.Error as error:
            raise Unavailable(f"the database cannot store now: {error}") from error
        except Overtaken as error:
            raise Unavailable(str(error)) from error

    def rest(self) -> None:
        """Do what may wait until nothing arrives.

        Raises:
            Unavailable: the database is gone.
        """
        due, now = dict(self._known.untold), self.monotonic()
        try:
            if due:
                with transaction(self.connection, tenant=EVERY_TENANT) as link:
                    touch_devices(link, due)
            if self.lane is Lane.LATE and now - self._pruned_at > PRUNE_EVERY_S:
                quarantine.prune(self.connection)
                self._pruned_at = now
        except psycopg.Error as error:
            raise Unavailable(f"the database cannot store now: {error}") from error
        self._known.told({}, due, now)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def _commit(
        self, accepted: Sequence[Accepted], refused: Sequence[Refused], now_ms: Millis
    ) -> Committed:
        self._prepare()
        if self.lane is Lane.LATE:
            self._make_room(accepted)
        terms = self._terms(now_ms)
        try:
            with transaction(self.connection, tenant=EVERY_TENANT) as link:
                batch = self._batch(link, terms)
                committed = batch.store(accepted, refused)
        except POISON:
            # Not because what is remembered here has been deleted there: that is asked for anew.
            self._known.forget()
            return self._sifted(accepted, refused, terms)
        self._remember(batch)
        return committed

    def _sifted(
        self, accepted: Sequence[Accepted], refused: Sequence[Refused], terms: Terms
    ) -> Committed:
        """Store all but what the database refuses, by savepoints within one transaction."""
        batches: list[Batch] = []

        with transaction(self.connection, tenant=EVERY_TENANT) as link:

            def attempt(some: Sequence[Accepted]) -> Committed:
                batch = self._batch(link, terms)
                with link.transaction():
                    done = batch.store(some, ())
                batches.append(batch)
                return done

            sifted = sift(accepted, attempt, POISON)
            culprits = [refuse(one, UNSTORABLE, said) for one, said in sifted.culprits]
            last = self._batch(link, terms)
            done = [*sifted.results, last.store((), (*refused, *culprits))]
        for batch in batches:
            self._remember(batch)
        return merged(done)

    def _prepare(self) -> None:
        """Bound every wait of this session; a hung server is left alone by its own clock."""
        if not self._set_up:
            waits = {"lock": LOCK_WAIT[self.lane], "statement": STATEMENT_WAIT, "idle": IDLE_WAIT}
            self.connection.execute(_SQL["bound_waits"], waits)
            self._set_up = True

    def _make_room(self, accepted: Sequence[Accepted]) -> None:
        """Make old sections apart: it locks the whole table until the end of its transaction."""
        frames = [a.message.frames for a in accepted if isinstance(a.message, wire.Data)]
        make_room(self.connection, frames)

    def _terms(self, now_ms: Millis) -> Terms:
        wary = self.monotonic() < self._wary_until
        return Terms(now_ms=now_ms, lane=self.lane, wary=wary, fences=self.fences())

    def _batch(self, link: Connection, terms: Terms) -> Batch:
        return Batch(link=link, known=self._known, terms=terms, monotonic_s=self.monotonic())

    def _remember(self, batch: Batch) -> None:
        self._known.learn(batch.boots, batch.schemas, batch.clocks)
        self._known.told(batch.latest, batch.due, batch.monotonic_s)


def alive(url: str) -> str:
    """Let a connection to this database notice within half a minute that the machine is gone."""
    return make_conninfo(
        url, keepalives_idle=10, keepalives_interval=5, keepalives_count=3, tcp_user_timeout=20_000
    )


def merged(parts: Sequence[Committed]) -> Committed:
    """Sum up several commits; of two acknowledgements for one boot the later says all."""
    said = [told for part in parts for told in part.told]
    cumulative = {(t.address, t.ack.boot, t.ack.birth_wanted): t for t in said if t.ack.boot}
    return Committed(
        told=(*cumulative.values(), *(t for t in said if not t.ack.boot)),
        messages=sum(part.messages for part in parts),
        frames=sum(part.frames for part in parts),
        duplicates=sum(part.duplicates for part in parts),
        strangers=sum(part.strangers for part in parts),
        refused=tuple(one for part in parts for one in part.refused),
        late=tuple(one for part in parts for one in part.late),
        gaps=sum(part.gaps for part in parts),
        lag_s=max((p.lag_s for p in parts if p.lag_s is not None), default=None),
    )
