"""Which readings are worth sending."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.sampling import decide as decisions
from edge_agent.sampling.config import ChannelSampling, SamplingConfig
from edge_agent.sampling.decide import Action, Reason, Snapshot
from edge_agent.sampling.sampler import Sampler
from edge_agent.sampling.windows import Moments
from edge_agent.source import Description, Frame, Happening
from foremend.errors import ConfigurationError, NotFound
from foremend.values import Quality
from foremend.wire import Channel

finite = st.floats(-1e6, 1e6)


def source(*names: str) -> Description:
    channels = tuple(Channel(name=name, unit="Cel", component="nozzle") for name in names)
    return Description(channels=channels, family="f", model="m")


def sampler(**settings: Any) -> Sampler:
    """Make one for the channels `a` and `b`."""
    return Sampler(SamplingConfig(**settings), source("a", "b"))


def rules(**settings: Any) -> dict[str, ChannelSampling]:
    """Sample both channels alike."""
    return dict.fromkeys(("a", "b"), ChannelSampling(**settings))


def frame(ts_s: float, a: float | None, b: float | None = 0.0, **more: int) -> Frame:
    return Frame(ts_ms=round(1000 * ts_s), values=(a, b), **more)


def taken(sampling: Sampler, *frames: Frame) -> list[Frame | Happening]:
    return [item for one in frames for item in sampling.take(one)]


def instants(items: list[Frame | Happening]) -> list[float]:
    return [item.ts_ms / 1000 for item in items if isinstance(item, Frame)]


def told(items: list[Frame | Happening]) -> list[tuple[str, dict[str, Any]]]:
    return [(item.code, dict(item.details)) for item in items if isinstance(item, Happening)]


@given(st.lists(st.one_of(finite, st.none()), max_size=20))
def test_unless_told_otherwise_everything_is_sent_as_it_comes(values: list[float | None]) -> None:
    frames = [frame(n, value, phase=n % 3, quality=n % 2) for n, value in enumerate(values)]

    assert taken(sampler(), *frames) == frames


def test_within_its_deadband_a_value_is_not_sent_until_the_heartbeat() -> None:
    sampling = sampler(channels=rules(report="change", deadband=1.0, heartbeat_s=10))

    said = taken(sampling, *(frame(n, 20.0 + n % 2) for n in range(21)))

    assert instants(said) == [0, 10, 20]


def test_a_slow_drift_is_measured_from_what_was_sent_last() -> None:
    sampling = sampler(channels=rules(report="change", deadband=1.0, heartbeat_s=1000))

    said = taken(sampling, *(frame(n, 0.4 * n) for n in range(10)))

    assert [item.values[0] for item in said if isinstance(item, Frame)] == pytest.approx(
        [0.0, 1.2, 2.4, 3.6]
    )


@given(sent=finite, value=finite, absolute=st.floats(0, 100), ratio=st.floats(0, 1))
def test_the_larger_of_the_two_deadbands_holds(
    sent: float, value: float, absolute: float, ratio: float
) -> None:
    rule = ChannelSampling(report="change", deadband=absolute, deadband_ratio=ratio)

    out = decisions.changed(rule, sent, value)

    assert out == (abs(value - sent) > absolute and abs(value - sent) > ratio * abs(sent))


def test_a_frame_that_is_sent_carries_every_channel() -> None:
    sampling = sampler(channels={"a": ChannelSampling(report="change")}, default=rules_of_b())

    said = taken(sampling, frame(0, 1.0, 5.0), frame(1, 1.0, 6.0), frame(2, 2.0, 7.0))

    assert [item.values for item in said if isinstance(item, Frame)] == [(1.0, 5.0), (2.0, 7.0)]


def rules_of_b() -> ChannelSampling:
    return ChannelSampling(report="period", period_s=1000)


def test_a_channel_that_reports_at_a_period_asks_for_a_frame_no_sooner() -> None:
    sampling = sampler(channels=rules(report="period", period_s=5))

    assert instants(taken(sampling, *(frame(n, float(n)) for n in range(11)))) == [0, 5, 10]


def test_another_phase_or_quality_is_always_worth_a_frame() -> None:
    sampling = sampler(channels=rules(report="change", deadband=9))

    said = taken(sampling, frame(0, 1.0), frame(1, 1.0, phase=3), frame(2, 1.0, phase=3, quality=2))

    assert instants(said) == [0, 1, 2]


def test_a_clock_that_goes_back_makes_everything_due() -> None:
    sampling = sampler(channels=rules(report="period", period_s=60))

    assert instants(taken(sampling, frame(100, 1.0), frame(50, 1.0))) == [100, 50]


def test_a_decision_has_its_reason() -> None:
    snapshot = Snapshot(ts_ms=0, values=(1.0,), phase=0, quality=0)
    rule = (ChannelSampling(report="change"),)

    first = decisions.decide(rule, None, snapshot, bursting=False)
    same = decisions.decide(rule, snapshot, snapshot, bursting=False)
    burst = decisions.decide(rule, snapshot, snapshot, bursting=True)

    assert (first.action, first.reason) == (Action.SEND, Reason.FIRST)
    assert (same.action, same.reason) == (Action.HOLD_BACK, Reason.NOTHING_NEW)
    assert (burst.action, burst.reason) == (Action.SEND, Reason.BURST)


def test_what_a_delta_feed_leaves_out_keeps_its_last_value_until_that_is_stale() -> None:
    sampling = sampler(channels={"a": ChannelSampling(stale_after_s=5)})

    said = taken(sampling, frame(0, 20.0), frame(5, None), frame(6, None), frame(7, 21.0))

    frames = [item for item in said if isinstance(item, Frame)]
    assert [item.values[0] for item in frames] == [20.0, 20.0, None, 21.0]
    assert told(said) == [
        ("channel_stale", {"channel": "a"}),
        ("channel_fresh", {"channel": "a"}),
    ]


def test_one_silent_channel_spoils_no_other_but_a_frame_of_none_is_stale() -> None:
    sampling = sampler(channels=rules(stale_after_s=1))

    said = taken(sampling, frame(0, 1.0, 1.0), frame(5, None, 2.0), frame(10, None, None))

    assert [item.quality for item in said if isinstance(item, Frame)] == [
        Quality.GOOD,
        Quality.GOOD,
        Quality.STALE,
    ]


def test_what_is_not_a_number_counts_as_not_read() -> None:
    sampling = sampler(channels={"a": ChannelSampling(stale_after_s=60)})

    said = taken(sampling, frame(0, 20.0), frame(1, math.nan), frame(2, math.inf))

    assert [item.values[0] for item in said if isinstance(item, Frame)] == [20.0] * 3


def test_a_window_gives_a_channel_for_each_statistic() -> None:
    sampling = sampler(
        window_s=10,
        channels={"a": ChannelSampling(report="never", statistics=("min", "max", "mean", "std"))},
        default=ChannelSampling(report="never"),
    )
    names = [(c.name, c.statistic, c.unit, c.component) for c in sampling.description.channels]
    assert names[2:] == [(f"a_{s}", s, "Cel", "nozzle") for s in ("min", "max", "mean", "std")]

    values = [1.0, 4.0, 1.0, 2.0]
    said = taken(sampling, *(frame(2 * n, v) for n, v in enumerate(values)), frame(11, 9.0))

    [window] = [item for item in said if isinstance(item, Frame) and item.ts_ms == 9_999]
    assert window.values == (None, None, 1.0, 4.0, 2.0, pytest.approx(statistics.pstdev(values)))
    [last] = sampling.flush()
    assert (last.ts_ms, last.values[2:]) == (19_999, (9.0, 9.0, 9.0, 0.0))
    assert sampling.flush() == []


@given(st.lists(finite, min_size=1, max_size=100))
def test_moments_are_those_of_the_values(values: list[float]) -> None:
    moments = Moments()
    for value in values:
        moments.add(value)

    assert (moments.give("min"), moments.give("max")) == (min(values), max(values))
    assert moments.give("mean") == pytest.approx(statistics.fmean(values), abs=1e-6)
    assert moments.give("std") == pytest.approx(statistics.pstdev(values), abs=1e-3)


def test_a_burst_begins_with_what_was_held_back_and_ends_after_its_cause() -> None:
    sampling = sampler(
        before_s=2,
        after_s=3,
        channels={"a": ChannelSampling(report="period", period_s=100, burst_high=50)},
        default=ChannelSampling(report="never"),
    )
    readings = [frame(n, 99.0 if n == 7 else 20.0) for n in range(15)]

    said = taken(sampling, *readings)

    assert instants(said) == [0, 5, 6, 7, 8, 9, 10]
    assert told(said) == [("burst", {"cause": "unusual", "channel": "a"})]
    assert [item.values[1] for item in said if isinstance(item, Frame)][1:] == [0.0] * 6


def test_nothing_is_said_twice_by_a_burst() -> None:
    sampling = sampler(before_s=100, channels=rules(report="period", period_s=3))
    readings = [frame(n, float(n)) for n in range(8)]

    before = taken(sampling, *readings)
    sampling.burst(None, 2)
    after = taken(sampling, frame(8, 8.0), frame(9, 9.0), frame(10, 9.0), frame(11, 9.0))

    assert sorted(instants(before) + instants(after)) == [*range(11)]
    assert told(after) == [("burst", {"cause": "asked"})]


def test_a_burst_of_one_channel_shows_that_one() -> None:
    sampling = sampler(channels=rules(report="never"))
    taken(sampling, frame(0, 1.0, 2.0))

    sampling.burst("b", 5)

    said = taken(sampling, frame(1, 1.0, 2.0))
    assert [item.values for item in said if isinstance(item, Frame)] == [(None, 2.0)]


def test_a_channel_is_unusual_by_its_own_measure() -> None:
    sampling = sampler(
        channels={"a": ChannelSampling(report="period", period_s=1000, burst_sigma=6)},
        default=ChannelSampling(report="never"),
    )
    quiet = [frame(n, 20.0 + (n % 5) / 10) for n in range(200)]

    assert told(taken(sampling, *quiet)) == []
    assert told(taken(sampling, frame(200, 25.0))) == [
        ("burst", {"cause": "unusual", "channel": "a"})
    ]


def test_no_more_is_held_back_than_there_is_room_for() -> None:
    sampling = sampler(before_s=1000, most_before=3, channels=rules(report="period", period_s=1000))
    taken(sampling, *(frame(n, 1.0) for n in range(10)))

    sampling.burst(None, 1)

    assert instants(taken(sampling, frame(10, 1.0))) == [7, 8, 9, 10]


def test_another_clock_begins_everything_anew() -> None:
    sampling = sampler(
        window_s=10, channels={"a": ChannelSampling(report="change", statistics=("mean",))}
    )
    taken(sampling, frame(0, 1.0))

    [window] = sampling.restart()

    assert window.values == (None, None, 1.0)
    assert instants(taken(sampling, frame(5_000, 1.0))) == [5_000]


@pytest.mark.parametrize(
    "settings",
    [
        {"channels": {"c": ChannelSampling()}},
        {"channels": {"a": ChannelSampling(statistics=("min", "min"))}},
    ],
)
def test_a_table_that_cannot_be_obeyed_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="sampling"):
        sampler(**settings)


def test_a_burst_of_a_channel_that_is_not_there_is_refused() -> None:
    with pytest.raises(NotFound, match="no channel 'c'"):
        sampler().burst("c", 1)
