"""A fleet of idle clients comes back after a kill -9 of its broker."""

from __future__ import annotations

import resource

import pytest

from stack.bench import reconnect


@pytest.mark.parametrize("enrolled", [False, True])
def test_everybody_is_back_after_the_broker_was_killed(enrolled: bool) -> None:
    found = reconnect.measure(200, enrolled=enrolled)

    assert found["all_back"]
    assert (found["devices"], found["back"]) == (200, 200)
    assert 0 < found["back_s_p50"] <= found["back_s_max"] < reconnect.BACK_WITHIN_S
    assert found["broker_rss_mb"] > 0


def test_a_limit_that_cannot_be_raised_is_told_with_what_to_do(monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError

    monkeypatch.setattr(resource, "setrlimit", refuse)
    with pytest.raises(reconnect.TooFewFiles, match="ulimit -Hn 100000000"):
        reconnect.allow_files(100_000_000)
