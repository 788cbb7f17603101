"""What a printer's channels hold, as a self-test reads it, and what it leaves there; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.live.words import Told
from edge_agent.selftest.bench import Reading
from edge_agent.selftest.judge import Verdict

if TYPE_CHECKING:
    from edge_agent.live.present import Present
    from foremend.clock import Millis
    from foremend.wire import Details


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


def measured(found: Details) -> Told:
    """Give what a self-test measured as words, so that a mapping can have channels of it.

    >>> measured({"belt_x_verdict": "measured", "belt_x_peak_hz": 108.5}).values
    {'self_test.belt_x_peak_hz': 108.5}
    """
    tests = [
        name.removesuffix("_verdict")
        for name, verdict in found.items()
        if name.endswith("_verdict") and verdict == Verdict.MEASURED.value
    ]
    return Told(
        values={
            f"self_test.{name}": value
            for name, value in found.items()
            if isinstance(value, float) and any(name.startswith(f"{test}_") for test in tests)
        }
    )
