"""The upkeep process: rollups every few seconds, hours and old sections now and then."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from foremend.db import Queries
from foremend.db.listen import attend
from foremend.errors import ConfigurationError
from ingest.upkeep import metrics
from ingest.upkeep.housekeeping import tidy
from ingest.upkeep.retention import Rules
from ingest.upkeep.store import HOURS, RollupStore

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from foremend.db import Connection
    from foremend.settings import Settings

ROLL_S: Final = 10.0
"""Seconds between two looks at the log: no minute is worked out more often while it lasts."""
HOURS_S: Final = 30.0
TIDY_S: Final = 60.0
BEHIND_S: Final = 5.0
"""How often the distance to the log's end is counted."""

_SQL: Final = Queries.load("ingest.upkeep", "rollups.sql")


@dataclass(slots=True, kw_only=True)
class Upkeep:
    """What is done when."""

    rules: Rules
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    _last: dict[str, float] = field(default_factory=dict)

    def work(self, connection: Connection) -> bool:
        """Do what is due, and say whether more can be done at once."""
        store = RollupStore(connection)
        rolled = store.roll()
        metrics.ENTRIES.inc(rolled.entries)
        metrics.ROWS.labels("minute").inc(rolled.minutes)
        # Also while there is a backlog, which may be long.
        hours_left = self._due("hours", HOURS_S) and self._roll_hours(store)
        if self._due("tidy", TIDY_S):
            metrics.tidied(tidy(connection, self.rules, self.wall()))
        if self._due("behind", BEHIND_S):
            metrics.BEHIND.set(store.behind())
        return rolled.more or hours_left

    def _roll_hours(self, store: RollupStore) -> bool:
        """Work hours out, and say whether more are due."""
        rows = store.roll_hours()
        metrics.ROWS.labels("hour").inc(rows)
        if rows < HOURS:
            return False
        self._last.pop("hours")
        return True

    def _due(self, what: str, every: float) -> bool:
        now = self.clock()
        if now - self._last.get(what, float("-inf")) < every:
            return False
        self._last[what] = now
        return True


def rules_of(settings: Settings) -> Rules:
    """Read the rules from the settings; raises ConfigurationError."""
    return Rules.of_days(
        frames=settings.keep_frames_days,
        minutes=settings.keep_minutes_days,
        hours=settings.keep_hours_days,
        compress=settings.compress_days,
    )


def run(settings: Settings, stop: threading.Event) -> None:
    """Serve until `stop` is set.

    Raises:
        ConfigurationError: no database is named, or the rules contradict one another.
    """
    url = settings.database_url.get_secret_value()
    if not url:
        raise ConfigurationError("upkeep needs FOREMEND_DATABASE_URL")
    upkeep = Upkeep(rules=rules_of(settings))
    attend(url, name="upkeep", listen=_SQL["listen"], work=upkeep.work, stop=stop, poll_s=ROLL_S)
