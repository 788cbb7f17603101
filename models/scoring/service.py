"""The scoring process: catch up from the last snapshot, then follow the log."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from foremend import ready
from foremend.db import connect
from foremend.errors import ConfigurationError, ForemendError
from foremend.log import get_logger
from models.scoring import metrics
from models.scoring.engine import Engine
from models.scoring.store import ScoringStore
from models.signatures import SignatureModel, shipped
from models.signatures.reading import libraries_in

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from foremend.settings import Settings
    from models.scoring.engine import Models
    from models.scoring.store import Positions, Stretch

ENTRIES: Final = 64
"""Log entries a partition in one stretch."""
SNAPSHOT_S: Final = 60.0
WAIT_S: Final = 0.5
LOOK_BEHIND_S: Final = 5.0
"""How often the distance to the log's end is counted."""

_log = get_logger(__name__)


class AlreadyScored(ForemendError):
    """Another scoring process serves this database: stop it first, or let it be."""


@dataclass(slots=True)
class Follower:
    """Follows the log for one consumer."""

    store: ScoringStore
    engine: Engine
    clock: Callable[[], float] = time.monotonic
    _at: Positions = field(default_factory=dict)
    _saved_at: float = 0.0
    _looked_at: float = 0.0

    def catch_up(self) -> int:
        """Restore the snapshot and replay up to what was already told; gives entries replayed.

        A snapshot that this version cannot read costs time and no more: the log holds everything.
        """
        cursors = self.store.cursors()
        self._at = dict(cursors.snapshot)
        try:
            self._restore()
        except (ForemendError, msgspec.DecodeError) as error:
            _log.warning("replaying the whole log", error=str(error))
            self.engine = Engine(self.engine.models, self.engine.libraries)
            self._at = dict.fromkeys(cursors.snapshot, 0)
        self._saved_at = self.clock()
        replayed = 0
        while stretch := self._next(upto=cursors.output):
            self.engine.take(stretch.entries)  # told before the restart: nothing is written again
            self._at |= stretch.ends
            replayed += len(stretch.entries)
        return replayed

    def _restore(self) -> None:
        for partition, states in sorted(self.store.load_snapshots().items()):
            self.engine.restore(partition, states)

    def step(self) -> int:
        """Score the next stretch and write what follows; gives the number of entries passed."""
        stretch = self._next()
        if stretch is None:
            return 0
        with metrics.STEP_SECONDS.time():
            outputs = self.engine.take(stretch.entries)
            self.store.write(outputs, stretch.ends, self.engine.tenant_and_timeline)
        passed = sum(end - self._at[partition] for partition, end in stretch.ends.items())
        metrics.scored(passed, outputs)
        self._at |= stretch.ends
        if self.clock() - self._saved_at > SNAPSHOT_S:
            self.save()
        return passed

    def save(self) -> None:
        """Store every device's state, so that a restart need not replay what led to it."""
        states = {partition: self.engine.snapshot(partition) for partition in self._at}
        self.store.save_snapshots(states, self._at)
        self._saved_at = self.clock()

    def look_behind(self) -> None:
        """Count how far the log's end is ahead, now and then."""
        if self.clock() - self._looked_at > LOOK_BEHIND_S:
            metrics.BEHIND.set(self.store.behind(self._at))
            self._looked_at = self.clock()

    def _next(self, upto: Positions | None = None) -> Stretch | None:
        stretch = self.store.read(self._at, limit=ENTRIES, upto=upto)
        return stretch if stretch.ends else None


def libraries(folder: Path) -> dict[str, SignatureModel]:
    """Give the signature libraries by family: those that ship, and over them a folder's.

    Raises:
        InputError: a file of the folder is no library.
    """
    in_force = {**shipped(), **libraries_in(folder)}
    return {family: SignatureModel(library=library) for family, library in in_force.items()}


def follow(
    store: ScoringStore,
    models: Models,
    stop: threading.Event,
    signatures: Mapping[str, SignatureModel] | None = None,
) -> None:
    """Serve one consumer until `stop`; `signatures` speak where no model of a family does.

    Raises:
        AlreadyScored: another process serves the same consumer.
    """
    if not store.claim():
        raise AlreadyScored
    follower = Follower(store, Engine(models, signatures or {}))
    replayed = follower.catch_up()
    _log.info("following the input log", replayed=replayed, devices=len(follower.engine.devices))
    ready.announce()
    while not stop.is_set():
        if not follower.step():
            store.wait(WAIT_S)
        follower.look_behind()
    follower.save()


def run(settings: Settings, models: Models, stop: threading.Event) -> None:
    """Serve the live consumer until `stop`.

    Raises:
        ConfigurationError: no database is named.
    """
    url = settings.database_url.get_secret_value()
    if not url:
        raise ConfigurationError("scoring needs FOREMEND_DATABASE_URL")
    with connect(url, name="scoring") as connection:
        follow(ScoringStore(connection), models, stop, libraries(settings.signatures_dir))
