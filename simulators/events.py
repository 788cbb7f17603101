"""Puts into events what the devices of a fleet have to say about a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from foremend.values import PART_REPLACED, Severity
from simulators.steps import SimEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from simulators.physics import Note
    from simulators.specs import Background, Mode, Part
    from simulators.steps import Bools


def _marked(mask: Bools) -> Iterator[tuple[int, int]]:
    """Give the (row, device) of each true place."""
    rows, devices = np.nonzero(mask)
    return zip(rows.tolist(), devices.tolist(), strict=True)


def said(notes: Sequence[Note], ts_ms: int) -> Iterator[SimEvent]:
    """Say what devices report of their own doings."""
    for note in notes:
        yield SimEvent(
            device_index=note.device,
            ts_ms=ts_ms,
            code=note.code,
            severity=note.severity,
            details=note.details,
        )


def replaced(device: int, part: Part, serial: str, ts_ms: int) -> SimEvent:
    """Say that a part was changed; what was found in the old one is not said."""
    return SimEvent(
        device_index=device,
        ts_ms=ts_ms,
        code=PART_REPLACED,
        severity=Severity.INFO,
        component=part.instance,
        details={"serial": serial},
    )


def failures(fails: Bools, modes: Sequence[Mode], ts_ms: int) -> Iterator[SimEvent]:
    """Give the error with which a firmware stops, for each failing part [k, n]."""
    for row, device in _marked(fails):
        mode = modes[row]
        yield SimEvent(
            device_index=device,
            ts_ms=ts_ms,
            code=mode.failure_code,
            severity=mode.failure_severity,
            component=mode.component if mode.names_component else None,
            details=mode.failure_details,
        )


def warnings(warns: Bools, modes: Sequence[Mode], ts_ms: int) -> Iterator[SimEvent]:
    """Give the warnings that growing faults [k, n] draw from a firmware."""
    for row, device in _marked(warns):
        mode = modes[row]
        yield SimEvent(
            device_index=device,
            ts_ms=ts_ms,
            code=mode.warning_code,
            severity=Severity.WARNING,
            component=mode.component if mode.names_component else None,
            details=mode.warning_details,
        )


def background(codes: Sequence[Background], marked: Bools, ts_ms: int) -> Iterator[SimEvent]:
    """Give codes that mean nothing, at the marked places [b, n]."""
    for row, device in _marked(marked):
        yield SimEvent(
            device_index=device,
            ts_ms=ts_ms,
            code=codes[row].code,
            severity=codes[row].severity,
            details=codes[row].details,
        )
