"""Whether a silence covers a group at an instant; pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from alerting.values import Context, Group, Silence

MATCHABLE: Final = frozenset({"device", "component", "failure_mode", "region"})
_WEEK: Final = timedelta(weeks=1)


def silenced(group: Group, context: Context, at: datetime) -> bool:
    """Tell whether any of the context's silences covers the group at this instant."""
    return any(active(s, at) and matches(s, group, context) for s in context.silences)


def matches(silence: Silence, group: Group, context: Context) -> bool:
    """Tell whether every key of the matcher holds; a matcher without keys matches nothing."""
    subject = {
        "device": context.device,
        "component": group.component,
        "failure_mode": group.failure_mode,
        "region": context.region,
    }
    return bool(silence.matcher) and all(
        subject.get(key) == value for key, value in silence.matcher.items()
    )


def active(silence: Silence, at: datetime) -> bool:
    """Tell whether the silence holds at `at`; its end is no longer part of it.

    A weekly window is counted in steps of 168 hours from its first start, so that it keeps its
    UTC hour over changes of daylight saving.
    """
    if at < silence.starts_at:
        return False
    if not silence.weekly:
        return at < silence.ends_at
    return (at - silence.starts_at) % _WEEK < silence.ends_at - silence.starts_at
