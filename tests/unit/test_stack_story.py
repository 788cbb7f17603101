"""The story in lines that a person would read."""

from __future__ import annotations

import pytest

from stack.story import foreseen, found

ROW = {
    "device": "printer-07",
    "component": "hotend_fan",
    "probability": 0.93,
    "p10_h": 5.2,
    "p90_h": 9.1,
    "horizon_h": 24.0,
    "evidence": [],
}


def plain(told: str) -> str:
    """Give a line without its typography."""
    return told.translate({0x2013: "-", 0x2212: "-", 0x202F: " "})


def test_a_failure_is_foreseen_in_a_span_of_hours() -> None:
    told = plain(foreseen(ROW))
    assert told == "printer-07 hot-end fan: failure in 5.2-9.1 h (p = .93)"


@pytest.mark.parametrize("unknown", ["p10_h", "p90_h"])
def test_where_the_span_is_unknown_the_horizon_is_told(unknown) -> None:
    told = plain(foreseen(ROW | {unknown: None}))
    assert told == "printer-07 hot-end fan: failure within 24 h (p = .93)"


def test_the_strongest_reason_ends_the_line() -> None:
    reason = {
        "kind": "channel_deviates",
        "subject": "hotend_fan_speed",
        "weight": 0.6,
        "parameters": {"now": 69.0, "usual": 100.0, "change_percent": -31.0},
    }
    told = plain(foreseen(ROW | {"evidence": [reason]}))
    assert told.endswith(" h (p = .93), hotend fan speed -31%")


def test_a_condition_is_told_in_words() -> None:
    assert found({"as_found": "no_fault_found"}) == "no fault found"
