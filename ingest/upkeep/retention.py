"""What becomes of an old section; pure. Ages are told by the timelines' own clocks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING

from foremend.errors import ConfigurationError
from foremend.values import TimelineKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet
    from datetime import datetime


class Action(Enum):
    """What to do with a section."""

    KEEP = "keep"
    COMPRESS = "compress"
    DROP = "drop"


class Reason(Enum):
    """Why."""

    NO_RULE = "no rule names an age"
    HELD = "a timeline whose readings it holds has not passed it by that age"
    NOBODYS = "no timeline has readings in it, and some may still come"
    PAST = "every timeline whose readings it holds has passed it by that age"
    COMPRESSED = "it is compressed already"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An action and its reason."""

    action: Action
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How old readings grow; None keeps for ever, or never compresses."""

    frames: timedelta | None
    minutes: timedelta | None
    hours: timedelta | None
    compress: timedelta | None

    @classmethod
    def of_days(cls, *, frames: float, minutes: float, hours: float, compress: float) -> Rules:
        """Read settings in days, 0 being for ever.

        Raises:
            ConfigurationError: rollups would be dropped before what they are made of.
        """
        ages = (frames, minutes, hours)
        finer = [age or float("inf") for age in ages]
        if finer != sorted(finer):
            raise ConfigurationError(
                "keep_frames_days, keep_minutes_days and keep_hours_days must each be no shorter "
                "than the one before, or 0 for ever: rollups are made of what is finer"
            )
        lengths = [timedelta(days=age) if age else None for age in (*ages, compress)]
        return cls(frames=lengths[0], minutes=lengths[1], hours=lengths[2], compress=lengths[3])


def present_of(
    kind: TimelineKind, now_at: datetime | None, seen_at: datetime | None, wall: datetime
) -> datetime | None:
    """Give the present by which a timeline's readings age; None where it has none yet.

    Live readings age by the wall. Recorded and simulated ones age by their own clock while it runs,
    and from its last movement on by the wall: a clock that has stopped for ever would otherwise
    hold its readings, and all that share a section with them, for ever.
    """
    if kind is TimelineKind.LIVE:
        return wall
    if now_at is None:
        return None
    return now_at + max(wall - seen_at, timedelta(0)) if seen_at else now_at


def passed(until: datetime, presents: Mapping[str, datetime], age: timedelta) -> frozenset[str]:
    """Give the timelines that have left a section's end behind by `age`."""
    return frozenset(name for name, present in presents.items() if until <= present - age)


def decide(
    until: datetime,
    holders: AbstractSet[str],
    presents: Mapping[str, datetime],
    *,
    keep: timedelta | None,
    compress: timedelta | None = None,
    compressed: bool = False,
) -> Decision:
    """Say what becomes of a section that ends at `until` and holds readings of `holders`."""
    if not holders:
        return Decision(action=Action.KEEP, reason=Reason.NOBODYS)
    if keep is not None and holders <= passed(until, presents, keep):
        return Decision(action=Action.DROP, reason=Reason.PAST)
    if compressed:
        return Decision(action=Action.KEEP, reason=Reason.COMPRESSED)
    if compress is not None and holders <= passed(until, presents, compress):
        return Decision(action=Action.COMPRESS, reason=Reason.PAST)
    rule = keep is not None or compress is not None
    return Decision(action=Action.KEEP, reason=Reason.HELD if rule else Reason.NO_RULE)
