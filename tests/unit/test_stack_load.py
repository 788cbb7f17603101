"""A crowd on the wire: what is switched on happens, and nothing is forgotten before it is acked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from foremend import wire
from stack.load.crowd import AGAIN_S, SHARES, STORM_CODE, Crowd
from stack.load.run import Load, added
from stack.load.troubles import LINES, Fate, Switches, Timetable, Way

if TYPE_CHECKING:
    from stack.load.crowd import Said

NOW = 1_790_000_000_000
NAMES = [f"unit-{n:02d}" for n in range(20)]


def crowd(seed: int = 5, period_s: float = 1.0, **switches: float) -> Crowd:
    return Crowd(
        NAMES,
        tenant="t",
        switches=Switches(**switches),
        seed=seed,
        start_ms=NOW,
        period_s=period_s,
    )


def said(one: Crowd, rounds: int = 10) -> list[list[Said]]:
    """Let every device speak once a second; what goes out, by device."""
    out: list[list[Said]] = [[] for _ in NAMES]
    for second in range(rounds):
        one.advance()
        for n in range(len(NAMES)):
            out[n] += one.speak(n, NOW + 1000 * second, float(second))
    return out


def seqs(messages: list[Said]) -> list[int]:
    return [msgspec.json.decode(m.payload, type=wire.Data).seq for m in messages]


def ack(one: Crowd, n: int, **told: object) -> None:
    topic = wire.Address(tenant="t", device=NAMES[n]).down(wire.Down.ACK).encode()
    one.hear(topic, wire.encode(wire.Ack(boot="b1", **told)), 10.0)  # type: ignore[arg-type]


def test_without_troubles_every_number_goes_out_once_and_in_order() -> None:
    assert all(seqs(messages) == list(range(10)) for messages in said(crowd()))


def test_what_is_sent_twice_is_the_same_bytes_twice() -> None:
    one = crowd(duplicates=0.4)
    messages = [m for each in said(one) for m in each]

    twice = [m for m in messages if messages.count(m) == 2]

    assert len(twice) == 2 * one.tally.duplicates > 20
    assert len(messages) == one.tally.messages + one.tally.duplicates


def test_what_is_held_back_is_overtaken_by_the_next_and_by_no_other() -> None:
    one = crowd(reorder=0.5)
    numbers = [seqs(each) for each in said(one, rounds=20)]

    assert one.tally.reordered > 40
    for each in numbers:
        assert sorted(each) == list(range(len(each)))
        assert max(abs(seq - at) for at, seq in enumerate(each)) == 1


def test_wrong_clocks_are_wrong_by_each_devices_own_amount() -> None:
    first = [each[0] for each in said(crowd(skew_s=60.0), rounds=1)]

    off = [msgspec.json.decode(m.payload, type=wire.Data).frames.t0_ms - NOW for m in first]

    assert len(set(off)) == len(NAMES)
    assert max(map(abs, off)) <= 60_000
    assert min(off) < 0 < max(off)


def test_a_storm_is_one_error_of_every_device_numbered_with_the_rest() -> None:
    one = crowd()
    said(one, rounds=2)

    events = [msgspec.json.decode(m.payload, type=wire.Event) for m in one.storm(NOW + 2000, 2.0)]

    assert {e.code for e in events} == {STORM_CODE}
    assert [e.seq for e in events] == [2] * len(NAMES)


def test_what_firmwares_report_goes_out_as_events_with_numbers_of_their_own() -> None:
    one = crowd(period_s=600.0)
    out = [m for each in said(one, rounds=30) for m in each]

    events = [
        msgspec.json.decode(m.payload, type=wire.Event) for m in out if m.topic.endswith(b"/event")
    ]

    assert {"job_started", "job_ended"} <= {e.code for e in events}
    assert len(events) == one.tally.messages - 30 * len(NAMES)


def test_what_is_not_acknowledged_is_kept_and_given_again() -> None:
    one = crowd()
    said(one, rounds=6)

    ack(one, 0, upto=1, ranges=((3, 4),))

    assert seqs(list(one.again([0]))) == [2, 5]
    assert one.unacknowledged == 6 * len(NAMES) - 4


def test_what_waits_too_long_goes_out_again_by_itself_once() -> None:
    one = crowd()
    said(one, rounds=1)
    one.advance()

    late = one.speak(0, NOW, AGAIN_S + 1.0)
    later = one.speak(0, NOW, AGAIN_S + 2.0)

    assert seqs(late) == [1, 0]
    assert seqs(later) == [2]


def test_a_device_that_ingest_does_not_know_is_introduced_again() -> None:
    one = crowd()
    ack(one, 3)
    assert 3 not in one.unborn

    ack(one, 3, birth_wanted=True)

    assert 3 in one.unborn
    assert 3 in one.called
    birth = msgspec.json.decode(one.birth(3).payload, type=wire.Birth)
    assert birth.schema == wire.schema_hash(birth.channels)
    assert birth.components
    assert 3 not in one.called


def test_every_family_is_there() -> None:
    births = [msgspec.json.decode(crowd().birth(n).payload, type=wire.Birth) for n in (0, 15, 19)]

    assert [b.family for b in births] == list(SHARES)


def test_the_same_seed_says_the_same_and_another_does_not() -> None:
    def all_said(seed: int) -> list[list[Said]]:
        return said(crowd(seed, duplicates=0.2, reorder=0.2, skew_s=5.0), rounds=4)

    assert all_said(5) == all_said(5)
    assert all_said(5) != all_said(6)


def test_fate_deals_out_the_shares_that_are_asked_for() -> None:
    fate = Fate(Switches(duplicates=0.2, reorder=0.3), seed=1)
    ways = [fate.way() for _ in range(4000)]

    assert ways.count(Way.TWICE) / 4000 == pytest.approx(0.2, abs=0.03)
    assert ways.count(Way.HELD) / 4000 == pytest.approx(0.3, abs=0.03)


def test_links_are_cut_one_after_the_other_and_come_back() -> None:
    timetable = Timetable(Switches(flap_every_s=10.0, flap_for_s=2.0))

    cuts = [timetable.cut(float(second)) for second in range(0, 55, 5)]

    assert [line for line in cuts if line is not None] == [0, 1, 2, 3, 0][: timetable.flaps]
    assert timetable.flaps == 5 > LINES
    assert sorted(timetable.back(60.0)) == [0, 1, 2, 3]
    assert timetable.back(60.0) == []


def test_storms_break_as_often_as_asked_and_never_else() -> None:
    timetable, calm = Timetable(Switches(storm_every_s=10.0)), Timetable(Switches())

    assert sum(timetable.storm(float(second)) for second in range(35)) == 3
    assert not any(calm.storm(float(second)) for second in range(35))


def test_devices_are_shared_out_without_gaps_or_overlaps() -> None:
    courses = Load(devices=10, processes=3, per_s=2.0).courses()

    numbers = [c.first + n for c in courses for n in range(c.devices)]
    assert numbers == list(range(10))
    assert {c.period_s for c in courses} == {0.5}


def test_figures_of_processes_add_up_and_of_times_the_worst_counts() -> None:
    names = "messages sent duplicates reordered resent flaps storms acknowledged"
    one = dict.fromkeys([*names.split(), "unacknowledged", "refused", "cpu_s"], 10)
    times = {"seconds": 2.0, "ack_p50_ms": 5.0, "ack_p99_ms": None}

    both = added([one | times, one | times | {"ack_p50_ms": 7.0}])

    assert (both["messages"], both["messages_per_s"]) == (20, 10)
    assert (both["ack_p50_ms"], both["ack_p99_ms"]) == (7.0, 0.0)
