"""What a printer's channels hold, as a self-test reads it; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.selftest.bench import Reading

if TYPE_CHECKING:
    from edge_agent.live.present import Present
    from foremend.clock import Millis


def reading(present: Present, now_ms: Millis) -> Reading:
    """Read the channels that all printers' mappings name alike; one that is not mapped is None."""

    def value(name: str) -> float | None:
        held = present.channel(name, now_ms)
        return None if held is None else held[0]

    hotend = present.channel("hotend_temp", now_ms)
    return Reading(
        hotend_c=None if hotend is None else hotend[0],
        hotend_age_s=0.0 if hotend is None else hotend[1] / 1000,
        hotend_power=value("hotend_power"),
        fan_rpm=value("part_fan_rpm"),
        hotend_fan_rpm=value("hotend_fan_rpm"),
        job=present.job,
    )
