"""The benchmark of charts runs from end to end, and what it says adds up."""

from __future__ import annotations

from stack.bench.read import Course, measure


def test_a_short_course_measures_each_level(migrated_urls) -> None:
    course = Course(days=2, points=300, reads=2, raw_reads=1)
    found = measure((migrated_urls.owner, migrated_urls.app), course, lambda line: None)

    assert found["frames"] == 2 * 86_400
    assert found["levels"].keys() == {"2 d", "12 h", "3 h", "30 min", "1 min"}
    assert found["levels"]["2 d"]["level"] == "minute"
    assert found["levels"]["1 min"] | {"level": "raw", "points": 60} == found["levels"]["1 min"]
    assert all(level["points"] <= 300 for level in found["levels"].values())
    assert found["levels"]["2 d"]["ratio_raw"] > 1
