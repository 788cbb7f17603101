"""What is stored held against itself: rollups, receipts, the log, and readings that stand twice."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg

from foremend.db import EVERY_TENANT, Queries, connect, transaction
from foremend.db.storage import FRAMES, MINUTES
from foremend.errors import NotFound
from stack.keeping.findings import SHOWN, Boot, Check, holes_of, lost_of
from stack.keeping.windows import LAST, MONDAY, Window, weeks, without

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from foremend.db import Connection

TOLERANCE: Final = 1e-9
"""Of a mean, in parts of the largest value: two orders of adding up n doubles differ by at most
some 2n * 2**-53 of it (Higham, Accuracy and Stability of Numerical Algorithms, 4.2), and n stays
below 4 million, which an hour at 1 kHz does not reach."""

_SQL: Final = Queries.load("stack.keeping", "verify.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is verified; None narrows nothing."""

    since: datetime | None = None
    until: datetime | None = None
    device: str | None = None

    @property
    def window(self) -> Window:
        """The span of time whose rollups are compared, in whole hours."""
        return Window(
            since=MONDAY if self.since is None else _hour(self.since),
            until=LAST if self.until is None else _hour(self.until + timedelta(minutes=59)),
        )


@dataclass(slots=True, kw_only=True)
class Verification:
    """The checks of one run."""

    connection: Connection
    scope: Scope
    tell: Callable[[str], None]
    minutes: Check = field(default_factory=lambda: Check(name="minutes against frames"))
    hours: Check = field(default_factory=lambda: Check(name="hours against minutes"))
    repeated: Check = field(
        default_factory=lambda: Check(name="weeks of a device in which readings stand once")
    )
    receipts: Check = field(default_factory=lambda: Check(name="receipts against what is stored"))
    log: Check = field(default_factory=lambda: Check(name="positions of the log"))
    _dropped: dict[str, list[Window]] = field(default_factory=lambda: defaultdict(list))

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every check, in the order in which they are told."""
        return (self.minutes, self.hours, self.repeated, self.receipts, self.log)

    @property
    def passed(self) -> bool:
        """Whether nothing differs."""
        return not any(check.differences for check in self.checks)

    def run(self) -> None:
        """Ask everything.

        Raises:
            NotFound: no device has the name that was given.
        """
        devices = self._ask("devices", device=self.scope.device)
        if self.scope.device is not None and not devices:
            raise NotFound(f"no device {self.scope.device!r}")
        for parent, since, until in self._ask("dropped"):
            self._dropped[parent].append(Window(since=since, until=until))
        if self.scope.since is not None or self.scope.until is not None:
            self.receipts.skipped = "as a span of time was given and a boot may reach beyond it"
        for number, (device, tenant, timeline, name) in enumerate(devices, 1):
            self.tell(f"{number} of {len(devices)}: {name} on {timeline}")
            self._verify_device(device, f"{tenant}/{timeline}/{name}")
        self._verify_log()

    def _verify_device(self, device: int, name: str) -> None:
        pending = {bucket for (bucket,) in self._ask("pending", device=device)}
        due = {bucket for (bucket,) in self._ask("due", device=device)}
        for window in self._windows("span", device, self._dropped[FRAMES]):
            self._compare("minutes", self.minutes, device, name, window, pending)
            self._verify_repeated(device, name, window)
        due |= {_hour(bucket) for bucket in pending}
        for window in self._windows("hour_span", device, self._dropped[MINUTES]):
            self._compare("hours", self.hours, device, name, window, due)
        if self.receipts.skipped is None:
            self._verify_receipts(device, name)

    def _windows(self, block: str, device: int, gone: list[Window]) -> list[Window]:
        whole = self.scope.window
        ((first, last),) = self._ask(block, device=device, since=whole.since, until=whole.until)
        if first is None:
            return []
        span = Window(since=_hour(first), until=_hour(last) + timedelta(hours=1))
        return [week for kept in without(span, gone) for week in weeks(kept)]

    def _compare(
        self,
        block: str,
        check: Check,
        device: int,
        name: str,
        window: Window,
        pending: set[datetime],
    ) -> None:
        rows = self._ask(
            block,
            device=device,
            since=window.since,
            until=window.until,
            tolerance=TOLERANCE,
            limit=max(1000, SHOWN + len(pending)),
        )
        check.examined += rows[0][5] if rows else 0
        for bucket, schema, wrong, told, kept, _ in rows:
            if wrong is None:
                continue
            if bucket in pending:
                check.pending += 1
                continue
            check.differ(
                f"{name} {bucket.isoformat()} schema {schema}: {wrong}"
                f" ({told or 0} frames by what it is made of, {kept or 0} in the rollup)"
            )

    def _verify_repeated(self, device: int, name: str, window: Window) -> None:
        span: dict[str, Any] = {"since": window.since, "until": window.until}
        self.repeated.examined += 1
        for boot, seq, batches, twice in self._ask("repeated", device=device, limit=1000, **span):
            what = f"{batches} batches" if batches > 1 else f"{twice} readings twice"
            self.repeated.differ(f"{name} boot {boot} number {seq}: {what}")

    def _verify_receipts(self, device: int, name: str) -> None:
        dropped = max((w.until for w in self._dropped[FRAMES]), default=None)
        for row in self._ask("receipts", device=device, dropped_until=dropped):
            _, boot_name, booted_at, nowhere, unreceipted, settled, first_kept = row
            boot = Boot(
                name=boot_name,
                booted_at=booted_at,
                nowhere=nowhere,
                unreceipted=unreceipted,
                first_kept=first_kept,
            )
            self.receipts.examined += int(settled)
            for first, end in lost_of(boot, dropped):
                self.receipts.differ(
                    f"{name} boot {boot_name}: {first} to {end - 1} acknowledged and nowhere"
                )
            for found in unreceipted:
                self.receipts.differ(
                    f"{name} boot {boot_name}: {found.lower} to {found.upper - 1} stored"
                    " without a receipt"
                )

    def _verify_log(self) -> None:
        for partition, head, entries, first, last in self._ask("log"):
            self.log.examined += entries
            wrong = holes_of(head, entries, first, last)
            if wrong is not None:
                self.log.differ(f"partition {partition}: {wrong}")

    def _ask(self, block: str, **told: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(_SQL[block], told).fetchall()


def verify(url: str, scope: Scope, tell: Callable[[str], None]) -> Verification:
    """Verify one instant of a database, which may be in use meanwhile.

    Raises:
        Unavailable: the database does not answer.
        NotFound: no device has the name that was given.
    """
    with connect(url, name="verify") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        verification = Verification(connection=connection, scope=scope, tell=tell)
        with transaction(connection, tenant=EVERY_TENANT):
            verification.run()
    return verification


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
