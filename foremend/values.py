"""Frozen domain values that more than one room speaks of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from decimal import Decimal

PARTITIONS: Final = 64
"""Virtual partitions, for ever: a device's partition must never change (design, section 5)."""

ID_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")


class Phase(IntEnum):
    """What a device is doing while a frame is taken."""

    UNKNOWN = 0
    IDLE = 1
    HEATING = 2
    RUNNING = 3
    COOLING = 4
    PAUSED = 5
    ERROR = 6
    STOPPED = 7


class Quality(IntEnum):
    """How far a frame can be trusted."""

    GOOD = 0
    STALE = 1
    SUSPECT = 2


class Severity(Enum):
    """How grave an event is, as the device sees it."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class AsFound(Enum):
    """The condition in which a part was found when somebody looked."""

    FAILED = "failed"
    DEGRADED = "degraded"
    NO_FAULT_FOUND = "no_fault_found"


class TimelineKind(Enum):
    """Whose clock a timeline follows."""

    LIVE = "live"
    REPLAY = "replay"
    SIMULATION = "sim"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A world with its own clock; nothing on one timeline touches another.

    >>> Timeline.parse("sim:demo").kind
    <TimelineKind.SIMULATION: 'sim'>
    """

    kind: TimelineKind
    run: str | None = None

    @classmethod
    def parse(cls, text: str) -> Timeline:
        """Read `live`, `replay:RUN` or `sim:RUN`.

        Raises:
            ValueError: the text is none of these.
        """
        kind, colon, run = text.partition(":")
        if kind == "live" and not colon:
            return cls(kind=TimelineKind.LIVE)
        if kind in {"replay", "sim"} and ID_PATTERN.match(run):
            return cls(kind=TimelineKind(kind), run=run)
        raise ValueError(f"{text!r} is not `live`, `replay:RUN` or `sim:RUN`")

    def __str__(self) -> str:
        return self.kind.value if self.run is None else f"{self.kind.value}:{self.run}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An amount in one currency (ISO 4217 code); never a float."""

    amount: Decimal
    currency: str

    def __add__(self, other: Money) -> Money:
        if self.currency != other.currency:
            raise ValueError(f"cannot add {other.currency} to {self.currency}")
        return Money(amount=self.amount + other.amount, currency=self.currency)

    def __str__(self) -> str:
        return f"{self.amount:.0f} {self.currency}"


PART_REPLACED: Final = "part_replaced"
"""Event code: the component it names was replaced at its instant."""
GAP: Final = "gap"
"""Event code: readings were lost on purpose; the details name the ranges."""
SOURCE_LOST: Final = "source_lost"
"""Event code: the agent cannot read its device; details name the reason."""
SOURCE_BACK: Final = "source_back"
"""Event code: it can again."""
CLOCK_STEP: Final = "clock_step"
"""Event code: the agent's wall clock was set."""
NO_FAULTS: Final = frozenset({PART_REPLACED, GAP, SOURCE_LOST, SOURCE_BACK, CLOCK_STEP})
"""Event codes that tell no fault of the device, however grave: how readings came, what was done."""

CLEARED: Final = "_cleared"
"""Ends the code of the event that says that what the code without it told is over."""
WELL_AGAIN: Final = frozenset(
    {"klippy_ready", "printer_reset", "printer_connected", "health_normal"}
)
"""Event codes by which a device says that it works again, whatever it told before."""
LONGEST_CODE: Final = 256
"""Characters; the wire takes no more."""


def cleared(code: str) -> str:
    """Give the code of the event that says that a fault is over.

    >>> cleared("spn110_fmi0")
    'spn110_fmi0_cleared'
    """
    return f"{code[: LONGEST_CODE - len(CLEARED)]}{CLEARED}"


def tells_fault(code: str, severity: str) -> bool:
    """Whether an event is a device's own error code, from which failures may be foreseen.

    >>> tells_fault("E17", "error"), tells_fault(GAP, "warning")
    (True, False)
    """
    return severity != Severity.INFO.value and code not in NO_FAULTS
