"""Room for frames: the sections that a batch needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foremend.clock import to_datetime
from foremend.db import storage
from ingest.late import sections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foremend import wire
    from foremend.db import Connection


def make_room(link: Connection, told: Sequence[wire.Frames]) -> None:
    """Make the sections that these frames need, and none between those of distant timelines."""
    if not told:
        return
    for first_ms, last_ms in sections([f.t0_ms for f in told], [f.offset_ms[-1] for f in told]):
        storage.ensure_room(link, to_datetime(first_ms), to_datetime(last_ms))
