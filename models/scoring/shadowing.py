"""The shadow process: scores every challenger on trial, and looks whether families drift.

Live scoring never waits for it.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from foremend import ready
from foremend.db import connect
from foremend.errors import ConfigurationError, ForemendError, Remedy
from foremend.log import get_logger
from models import proposals
from models.scoring.engine import Engine
from models.scoring.service import Follower
from models.scoring.shadow import ShadowStore
from models.trials import store as trials

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from foremend.db import Connection
    from foremend.settings import Settings
    from models.scoring.engine import Models

WAIT_S: Final = 2.0
"""Between looks at which challengers there are, while there is nothing to score."""
LOOK_S: Final = 60.0
"""Between looks at whether a family has drifted: drift takes days."""
STEPS: Final = 50
"""Stretches of one challenger before the next has its turn."""

_log = get_logger(__name__)


@dataclass(slots=True)
class Challenger:
    """One version being tried."""

    version: str
    store: ShadowStore
    follower: Follower
    held: ExitStack

    @classmethod
    def claimed(cls, url: str, version: str, cohort: str, models: Models) -> Challenger | None:
        """Take a challenger over; None where another process scores it."""
        with ExitStack() as stack:
            connection = stack.enter_context(connect(url, name="shadow"))
            store = ShadowStore(connection, version, cohort)
            if not store.claim():
                return None
            follower = Follower(store, Engine(models))
            follower.catch_up()
            held = stack.pop_all()
        return cls(version, store, follower, held)

    def steps(self) -> bool:
        """Score some stretches; tells whether there were any."""
        for done in range(STEPS):
            if not self.follower.step():
                return done > 0
        return True


@dataclass(slots=True)
class DriftLook:
    """Looks at families now and then, and proposes; it never trains."""

    control: Connection
    clock: Callable[[], float] = time.monotonic
    _looked_at: float = field(default=float("-inf"))

    def turn(self) -> None:
        """Look, if it is time."""
        if self.clock() - self._looked_at < LOOK_S:
            return
        for sign in proposals.look(self.control):
            _log.warning("a family has drifted: learning anew is proposed", sign=str(sign))
        self._looked_at = self.clock()


@dataclass(slots=True)
class Shadows:
    """All challengers on trial."""

    url: str
    models: Models
    control: Connection
    _running: dict[str, Challenger] = field(default_factory=dict)

    def turn(self) -> bool:
        """See which challengers there are, and let each score some; tells whether any had to."""
        wanted = dict(trials.running(self.control))
        for version in self._running.keys() - wanted.keys():
            self._running.pop(version).held.close()
        scored = [self._one(version, cohort) for version, cohort in wanted.items()]
        return any(scored)

    def close(self) -> None:
        """Keep the state of each, for the next process."""
        for challenger in self._running.values():
            challenger.follower.save()
            challenger.held.close()
        self._running.clear()

    def _one(self, version: str, cohort: str) -> bool:
        try:
            if version not in self._running:
                taken = Challenger.claimed(self.url, version, cohort, self.models)
                if taken is None:
                    return False
                self._running[version] = taken
                _log.info("a challenger is tried", version=version, cohort=cohort)
            return self._running[version].steps()
        except ForemendError as error:
            if error.remedy is Remedy.RETRY:
                raise
            self._give_up(version, str(error))
            return False

    def _give_up(self, version: str, fault: str) -> None:
        """End a trial that cannot go on; the others, and live scoring, do."""
        _log.warning("a trial cannot go on", version=version, fault=fault)
        if version in self._running:
            self._running.pop(version).held.close()
        trials.end(self.control, version, fault=fault)


def run(settings: Settings, models: Models, stop: threading.Event) -> None:
    """Score challengers and look for drift until `stop`.

    Raises:
        ConfigurationError: no database is named.
    """
    url = settings.database_url.get_secret_value()
    if not url:
        raise ConfigurationError("shadow scoring needs FOREMEND_DATABASE_URL")
    with connect(url, name="shadow") as control:
        shadows, drift = Shadows(url, models, control), DriftLook(control)
        ready.announce()
        while not stop.is_set():
            drift.turn()
            if not shadows.turn():
                stop.wait(WAIT_S)
        shadows.close()
