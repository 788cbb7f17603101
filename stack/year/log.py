"""The input log of a year: what devices say, as the entries that scoring takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from foremend.values import PART_REPLACED
from models.scoring.entries import Batch, EventRow, FrameRows, Introduction
from stack.histories import is_error
from stack.year.site import TENANT, TIMELINE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from simulators.fleets import AnyFleet
    from simulators.steps import SimEvent, Step

PARTITION: Final = 0
_SCHEMA: Final = 1


def introductions(fleet: AnyFleet) -> Iterable[Introduction]:
    """Give the births of a fleet's devices, their parts' ages among them."""
    channels = msgspec.to_builtins(fleet.channels)
    for device in range(len(fleet.names)):
        told: dict[str, Any] = {
            "device_id": device,
            "tenant": TENANT,
            "timeline": TIMELINE,
            "family": fleet.family,
            "schema_id": _SCHEMA,
            "channels": channels,
            "components": msgspec.to_builtins(fleet.components(device)),
        }
        yield Introduction(partition=PARTITION, payload=told)


def batch(step: Step) -> Batch:
    """Give one window of every device; a part's replacement came before the frame it ends in."""
    swapped = [e for e in step.events if e.code == PART_REPLACED]
    erred = [e for e in step.events if is_error(e)]
    n = len(step.phase)
    before = np.bincount([e.device_index for e in swapped], minlength=n)
    frames = FrameRows(
        device=np.arange(n),
        rank=before,
        ts_ms=np.full(n, step.ts_ms),
        schema=np.full(n, _SCHEMA),
        phase=step.phase.astype(np.int64),
        quality=step.quality.astype(np.int64),
        values=step.values,
    )
    rows = [*_ranked(swapped, np.zeros(n, np.int64)), *_ranked(erred, before + 1)]
    return Batch(partition=PARTITION, frames=(frames,), events=tuple(rows))


def _ranked(events: Iterable[SimEvent], first: NDArray[np.int64]) -> Iterable[EventRow]:
    rank = first.copy()
    for event in events:
        yield EventRow(
            device=event.device_index,
            rank=int(rank[event.device_index]),
            ts_ms=event.ts_ms,
            code=event.code,
            severity=event.severity.value,
            component=event.component,
        )
        rank[event.device_index] += 1
