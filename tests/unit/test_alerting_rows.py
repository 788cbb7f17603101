"""What alerting makes of the rows that scoring writes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from alerting.rows import evaluation_of_anomaly
from api import evidence

RANKED = {"channel": "hotend_fan_rpm", "now": 4000.0, "baseline": 8000.0, "contribution": 0.7}


def anomaly(**told):
    return {
        "row_id": 1,
        "tenant": "demo",
        "timeline": "live",
        "device_id": 1,
        "kind": "alarm",
        "ts": datetime(2026, 1, 1, tzinfo=UTC),
        "score": 9.5,
        "top_channel": "hotend_fan_rpm",
        "evidence": {},
    } | told


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ({"evidence": {"channels": [RANKED]}}, "hot-end fan speed −50%"),
        ({"evidence": {"channels": [RANKED | {"baseline": None}]}}, "hot-end fan speed"),
        ({"evidence": {"channels": [RANKED | {"baseline": 0.0}]}}, "hot-end fan speed"),
        ({}, "anomaly hot-end fan speed"),
        ({"top_channel": None}, "anomaly"),
        (
            {"kind": "drift", "evidence": {"reason": "up", "before": 1.0, "now": 2.0}},
            "anomaly hot-end fan speed",
        ),
    ],
)
def test_an_inspection_names_what_is_unusual(told, line) -> None:
    assert evidence.headline(evaluation_of_anomaly(anomaly(**told)).evidence) == line
