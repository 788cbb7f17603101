"""A store that ships for tests and rehearsals: it answers as the database does, and forgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foremend import wire
from ingest import acks
from ingest.batch import Committed
from ingest.bisect import sift
from ingest.intake import refuse
from ingest.plan import KnownBoot, KnownSchema, boot_key, make_plan
from ingest.store import UNSTORABLE, merged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foremend.clock import Millis
    from ingest.intake import Accepted, Refused
    from ingest.plan import BootKey
    from ingest.seqset import SeqSet


class Unstorable(ValueError):
    """The fake's own refusal, as the database has its own."""


class MemoryStore:
    """Keeps every frame as (device_id, boot_id, seq, ts_ms) in `frames`, in order of storing."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, int, int, int]] = []
        self.refused: list[Refused] = []
        self.attempts = 0
        self._boots: dict[BootKey, KnownBoot] = {}
        self._schemas: dict[str, KnownSchema] = {}
        self._got: dict[tuple[int, int], SeqSet] = {}
        self._devices: dict[tuple[str, str, str], int] = {}

    def unstorable(self, _accepted: Accepted) -> bool:
        """Whether the store itself would refuse this; a test's store may say yes."""
        return False

    def commit(
        self, accepted: Sequence[Accepted], refused: Sequence[Refused], now_ms: Millis
    ) -> Committed:
        """Store a batch."""

        def attempt(some: Sequence[Accepted]) -> Committed:
            self.attempts += 1
            if any(self.unstorable(one) for one in some):
                raise Unstorable("cannot be stored")
            return self._commit(some, (), now_ms)

        sifted = sift(accepted, attempt, Unstorable)
        culprits = [refuse(one, UNSTORABLE, said) for one, said in sifted.culprits]
        return merged([*sifted.results, self._commit((), (*refused, *culprits), now_ms)])

    def rest(self) -> None:
        """Have nothing that waits."""

    def close(self) -> None:
        """Hold nothing."""

    def _commit(
        self, accepted: Sequence[Accepted], refused: Sequence[Refused], now_ms: Millis
    ) -> Committed:
        numbered = [a for a in accepted if isinstance(a.message, wire.NUMBERED)]
        births = [a for a in accepted if isinstance(a.message, wire.Birth)]
        for one in births:
            self._introduce(one)
        plan = make_plan(
            numbered,
            boots=self._boots,
            schemas=self._schemas,
            receipts=self._got,
            now_ms=now_ms,
        )
        for one in births:
            plan.touched[boot_key(one)] = (one.address, self._boots[boot_key(one)])
        self._got = plan.got
        all_refused = (*refused, *plan.refused)
        self.refused.extend(all_refused)
        for m in plan.frames:
            frames = m.data.frames
            self.frames += [
                (m.device_id, m.boot_id, m.data.seq, frames.t0_ms + offset)
                for offset in frames.offset_ms
            ]
        return Committed(
            told=tuple(acks.after_commit(plan, all_refused)),
            messages=len(plan.frames) + len(plan.events) + len(plan.results),
            frames=sum(len(m.data.frames.offset_ms) for m in plan.frames),
            duplicates=plan.duplicates,
            strangers=len(plan.strangers),
            refused=all_refused,
            gaps=len(plan.gaps),
        )

    def _introduce(self, accepted: Accepted) -> None:
        birth = accepted.message
        if not isinstance(birth, wire.Birth):
            return
        place = (accepted.address.tenant, birth.timeline, accepted.address.device)
        device_id = self._devices.setdefault(place, len(self._devices) + 1)
        known = self._boots.get(boot_key(accepted))
        self._boots[boot_key(accepted)] = KnownBoot(
            device_id=device_id,
            boot_id=known.boot_id if known else len(self._boots) + 1,
            partition=accepted.address.partition,
            timeline=birth.timeline,
            booted_ms=birth.boot_ms,
        )
        schema = KnownSchema(schema_id=len(self._schemas) + 1, width=len(birth.channels))
        self._schemas.setdefault(birth.schema, schema)
