"""Sessions of an edge node: births, order, losses, deaths, and what is asked of it."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremend import wire
from foremend.values import Quality
from ingest.intake import Arrival
from ingest.memory import MemoryStore
from ingest.sparkplug.sequence import WINDOW, Order, place
from tests.sparkplug_words import (
    LOAD,
    REORDER_MS,
    START,
    TEMP,
    Rehearsal,
    bd_seq,
    payload,
    states,
    told,
)

GOOD, STALE, SUSPECT = (int(q) for q in (Quality.GOOD, Quality.STALE, Quality.SUSPECT))
# Channels stand in the order of their names: Load, Temp.


@given(st.integers(0, 10**6), st.integers(-127, 127))
def test_a_sequence_number_is_unwrapped_to_the_nearest_position(awaited, off):
    position = awaited + off
    placed = place(awaited, position % 256)
    assert placed.position == position
    assert placed.order is (Order.NEXT if off == 0 else Order.AHEAD if off > 0 else Order.BEHIND)


def test_births_introduce_and_their_values_are_the_first_frame():
    rehearsal = Rehearsal()
    rehearsal.births()
    (birth,) = rehearsal.said(wire.Birth)
    assert (birth.boot, birth.agent, birth.timeline) == (f"sp-{START}-0", "sparkplug-b", "live")
    assert {a.address for a in rehearsal.out.accepted} == {
        wire.Address(tenant="demo", device="plant--press--pump")
    }
    assert rehearsal.values == [(5, 20)]
    assert states(rehearsal.said(wire.Status)) == ["online"]


def test_what_is_not_told_anew_is_as_it_was():
    rehearsal = Rehearsal()
    rehearsal.births()
    rehearsal.data(2, told(1, 21.0))
    rehearsal.data(3, told(2, 6))
    assert rehearsal.values == [(5, 20), (5, 21), (6, 21)]


def test_several_instants_in_one_message_are_several_frames():
    rehearsal = Rehearsal()
    rehearsal.births()
    rehearsal.data(
        2,
        told(1, 21.0, timestamp=START + 10),
        told(2, 6, timestamp=START + 20),
        told(1, 22.0, timestamp=START + 30),
    )
    assert rehearsal.values[1:] == [(5, 21), (6, 21), (6, 22)]
    assert len(rehearsal.said(wire.Data)) == 2


def test_bad_is_suspect_stale_and_null_are_missing():
    rehearsal = Rehearsal()
    rehearsal.births()
    rehearsal.data(2, told(1, 21.0, properties={"Quality": 0}))
    rehearsal.data(3, told(1, 22.0, properties={"Quality": 500}))
    rehearsal.data(4, told(2, 0, is_null=True))
    rehearsal.data(5, told(1, 23.0))
    assert rehearsal.values[1:] == [(5, 21), (5, None), (None, None), (None, 23)]
    assert rehearsal.qualities[1:] == [SUSPECT, GOOD, STALE, GOOD]


def test_a_historical_value_stands_alone_in_its_own_stream_and_changes_nothing_live():
    rehearsal = Rehearsal()
    rehearsal.births()
    long_ago = START - 20 * 86_400_000
    rehearsal.data(2, told(1, 9.0, is_historical=True, timestamp=long_ago))
    rehearsal.data(3, told(2, 6))
    live, history, after = rehearsal.said(wire.Data)
    assert (history.boot, history.seq, history.frames.t0_ms) == (f"{live.boot}-h", 0, long_ago)
    assert rehearsal.values == [(5, 20), (None, 9), (6, 20)]
    assert rehearsal.qualities == [GOOD, STALE, GOOD]
    assert (after.boot, after.seq) == (live.boot, 1)


def test_a_historical_value_is_never_live_however_young_it_is():
    rehearsal = Rehearsal()
    rehearsal.births()
    rehearsal.data(2, told(1, 9.0, is_historical=True, timestamp=START + 100))
    rehearsal.data(3, told(2, 6, timestamp=START + 200))
    assert rehearsal.values == [(5, 20), (None, 9), (6, 20)]
    assert rehearsal.qualities == [GOOD, STALE, GOOD]


def test_a_live_value_told_late_changes_what_holds_only_if_it_is_the_newest_of_its_channel():
    rehearsal = Rehearsal()
    rehearsal.births()
    rehearsal.data(2, told(1, 30.0, timestamp=START + 50))
    rehearsal.data(3, told(2, 6, timestamp=START + 40), told(1, 29.0, timestamp=START + 40))
    rehearsal.data(4, told(2, 7, timestamp=START + 60))
    assert rehearsal.values[1:] == [(5, 30), (6, 29), (7, 30)]


def test_history_is_stored_under_its_own_times():
    rehearsal = Rehearsal()
    rehearsal.births()
    past = START - 3 * 86_400_000
    rehearsal.data(2, told(1, 9.0, is_historical=True, timestamp=past))
    store = MemoryStore()
    committed = store.commit(rehearsal.out.accepted, rehearsal.out.refused, START)
    assert not committed.refused
    assert [ts for *_, ts in store.frames] == [START, past]


def test_text_is_passed_over_and_counted():
    rehearsal = Rehearsal()
    state = {"name": "State", "alias": 3, "datatype": 12, "string_value": "RUN"}
    rehearsal.births(TEMP, state)
    rehearsal.data(2, {"alias": 3, "string_value": "STOP"})
    assert rehearsal.values == [(20,)]
    assert {tally.value: n for tally, n in rehearsal.out.tally.items() if n}["passed_over"] == 3


def test_an_unknown_alias_stores_the_rest_and_asks_for_births():
    rehearsal = Rehearsal()
    rehearsal.births()
    rehearsal.data(2, told(1, 21.0), told(77, 1.0))
    assert rehearsal.values[-1] == (5, 21)
    assert rehearsal.asked == ["unknown_metric"]


def test_a_value_of_another_type_than_its_birth_said_is_not_stored():
    rehearsal = Rehearsal()
    rehearsal.births()
    rehearsal.data(2, {"name": "Load", "datatype": 10, "double_value": 1.5})
    assert rehearsal.values == [(5, 20)]
    assert rehearsal.asked == ["unknown_metric"]


@given(st.permutations([1, 2, 3, 4]), st.permutations(["Temp", "Load", "a/b", "c"]))
def test_an_alias_means_what_the_latest_birth_of_its_device_says(aliases, names):
    rehearsal = Rehearsal()
    first = dict(zip([1, 2, 3, 4], ["Temp", "Load", "a/b", "c"], strict=True))
    second = dict(zip(aliases, names, strict=True))

    def metrics(mapping, base):
        return [
            {"name": n, "alias": a, "datatype": 10, "double_value": base}
            for a, n in mapping.items()
        ]

    rehearsal.births(*metrics(first, 0.0))
    rehearsal.hear("DBIRTH", payload(2, *metrics(second, 0.0), ts=START + 2), "pump")
    for position, alias in enumerate(second, start=3):
        rehearsal.data(position, {"alias": alias, "double_value": float(alias)})
    channels = [c.name for c in rehearsal.said(wire.Birth)[-1].channels]
    held = dict(zip(channels, rehearsal.values[-1], strict=True))
    assert held == {name.replace("/", "--"): float(alias) for alias, name in second.items()}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 8), st.integers(20, 600))
def test_messages_that_come_out_of_order_are_stored_as_if_they_had_not(seed, reach, count):
    """Each is moved by fewer places than are held; the numbers go round twice and more."""
    dealt = random.Random(seed)
    order = sorted(range(2, count), key=lambda position: position + dealt.uniform(0, reach))
    straight, shuffled = Rehearsal(), Rehearsal()
    for rehearsal, positions in ((straight, range(2, count)), (shuffled, order)):
        rehearsal.births()
        for position in positions:
            rehearsal.data(position % 256, told(1, float(position)), ts=START + position)
    assert shuffled.out.accepted == straight.out.accepted
    assert not shuffled.asked
    assert [m.seq for m in shuffled.said(wire.Data)] == list(range(count - 1))


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(5)))
def test_births_in_any_order_with_their_data_lose_nothing(order):
    """A node's birth, two devices' and their data; whatever comes first, all of it is stored."""
    metric = told(1, 21.0)
    messages = [
        ("NBIRTH", payload(0, bd_seq(), ts=START), None),
        ("DBIRTH", payload(1, TEMP, ts=START + 1), "pump"),
        ("DBIRTH", payload(2, TEMP | {"alias": 9}, ts=START + 2), "fan"),
        ("DDATA", payload(3, metric, ts=START + 3), "pump"),
        ("DDATA", payload(4, metric | {"alias": 9}, ts=START + 4), "fan"),
    ]
    rehearsal = Rehearsal()
    for at in order:
        rehearsal.hear(*messages[at])
    assert sorted(rehearsal.values) == [(20,), (20,), (21,), (21,)]
    assert not rehearsal.refusals


@given(st.integers(1, 400), st.integers(0, 10))
def test_a_lost_message_is_a_recorded_gap_and_nothing_after_it_is_stored(before, more):
    rehearsal = Rehearsal()
    rehearsal.births()
    for position in range(2, before + 2):
        rehearsal.data(position % 256, told(1, float(position)), ts=START + position)
    stored = len(rehearsal.values)
    for position in range(before + 3, before + 4 + more):
        rehearsal.data(position % 256, told(1, float(position)), ts=START + position)
    assert not rehearsal.asked
    rehearsal.wait(REORDER_MS)
    assert rehearsal.asked == ["sequence_gap"]
    (gap,) = rehearsal.gaps
    assert gap["last"] - gap["first"] + 1 == more + 2
    assert rehearsal.values[stored:] == [(None, None)]
    assert rehearsal.qualities[-1] == STALE


def test_more_than_can_be_held_is_a_gap_at_once():
    rehearsal = Rehearsal()
    rehearsal.births()
    for position in range(3, 4 + WINDOW):
        rehearsal.data(position, told(1, 1.0))
    assert rehearsal.asked == ["sequence_gap"]


def test_the_numbers_of_a_gap_are_settled_and_recorded_as_lost():
    rehearsal = Rehearsal()
    rehearsal.births()
    rehearsal.data(4, told(1, 1.0))
    rehearsal.wait(REORDER_MS)
    store = MemoryStore()
    committed = store.commit(rehearsal.out.accepted, (), rehearsal.now_ms)
    assert committed.gaps == 1
    (ack,) = {t.ack.boot: t.ack for t in committed.told}.values()
    # The birth's frame, the frame that says nothing is known, the gap itself, and three lost.
    assert (ack.upto, ack.ranges) == (5, ())
    rehearsal.out.accepted.clear()
    rehearsal.wait(10_000)
    assert states(rehearsal.said(wire.Status)) == ["offline"]
    assert store.commit(rehearsal.out.accepted, (), rehearsal.now_ms).duplicates == 0


def test_after_a_gap_new_births_begin_a_new_session():
    rehearsal = Rehearsal()
    rehearsal.births()
    rehearsal.data(5, told(1, 99.0))
    rehearsal.wait(REORDER_MS)
    rehearsal.data(6, told(1, 98.0), ts=START + 6)
    rehearsal.births(ts=START + 5_000)
    rehearsal.data(2, told(1, 22.0), ts=START + 5_002)
    assert rehearsal.values == [(5, 20), (None, None), (5, 20), (5, 22)]
    boots = {m.boot for m in rehearsal.said(wire.Data)}
    assert boots == {f"sp-{START}-0", f"sp-{START + 5_000}-0"}


def test_what_was_held_for_the_session_before_is_lost_and_what_was_sent_since_is_not():
    rehearsal = Rehearsal()
    rehearsal.births()
    rehearsal.data(5, told(1, 99.0), ts=START + 5)
    rehearsal.data(2 + 1, told(1, 22.0), ts=START + 1_003)
    rehearsal.node_birth(ts=START + 1_000, bd=1)
    rehearsal.hear("DBIRTH", payload(1, TEMP, LOAD, ts=START + 1_001), "pump")
    rehearsal.data(2, told(1, 21.0), ts=START + 1_002)
    assert rehearsal.values == [(5, 20), (None, None), (5, 20), (5, 21), (5, 22)]
    assert [gap["reason"] for gap in rehearsal.gaps] == ["sequence_gap"]


def test_a_devices_birth_may_come_before_its_edge_nodes_in_the_midst_of_another_session():
    rehearsal = Rehearsal()
    rehearsal.births()
    rehearsal.data(2, told(1, 21.0))
    rehearsal.hear("DBIRTH", payload(1, TEMP, LOAD, ts=START + 1_001), "pump")
    rehearsal.data(2, told(1, 22.0), ts=START + 1_002)
    rehearsal.node_birth(ts=START + 1_000, bd=1)
    assert rehearsal.values == [(5, 20), (5, 21), (5, 20), (5, 22)]
    assert not rehearsal.gaps


def test_data_heard_before_a_birth_of_the_same_millisecond_may_be_of_the_session_before():
    rehearsal = Rehearsal()
    rehearsal.data(2, told(1, 99.0), ts=START)
    rehearsal.births(ts=START)
    rehearsal.data(2, told(1, 21.0))
    assert rehearsal.values == [(5, 20), (5, 21)]


def test_a_devices_birth_of_its_edge_nodes_millisecond_may_come_before_it():
    rehearsal = Rehearsal()
    rehearsal.hear("DBIRTH", payload(1, TEMP, LOAD, ts=START), "pump")
    rehearsal.node_birth(ts=START)
    assert rehearsal.values == [(5, 20)]


def test_a_message_of_the_session_before_is_set_aside():
    rehearsal = Rehearsal()
    rehearsal.births(ts=START + 1_000)
    rehearsal.data(2, told(1, 99.0), ts=START + 999)
    assert rehearsal.refusals == ["older_session"]


def test_a_repeated_message_and_a_repeated_birth_change_nothing():
    rehearsal = Rehearsal()
    rehearsal.births()
    rehearsal.data(2, told(1, 21.0))
    said = list(rehearsal.out.accepted)
    rehearsal.data(2, told(1, 21.0))
    rehearsal.node_birth()
    assert rehearsal.out.accepted == said
    rehearsal.data(3, told(1, 22.0))
    assert rehearsal.values[-1] == (5, 22)


def test_the_same_stream_heard_again_gives_the_same_messages():
    """So that the receipts tell duplicates, also of a process that remembers nothing."""
    first, second = Rehearsal(), Rehearsal()
    for rehearsal in (first, second):
        rehearsal.births()
        rehearsal.data(2, told(1, 21.0))
    store = MemoryStore()
    store.commit(first.out.accepted, (), START)
    again = store.commit(second.out.accepted, (), START)
    assert (again.messages, again.duplicates) == (0, 2)


def test_data_of_a_device_without_a_birth_is_not_stored_and_asks_for_it():
    rehearsal = Rehearsal()
    rehearsal.births()
    rehearsal.data(2, told(1, 99.0), device="fan")
    rehearsal.data(3, told(1, 21.0))
    assert rehearsal.values == [(5, 20), (5, 21)]
    assert rehearsal.asked == ["no_birth"]
    rehearsal.births(ts=START + 10)
    assert rehearsal.gaps[-1]["reason"] == "no_birth"


def test_a_death_takes_all_devices_along():
    rehearsal = Rehearsal()
    rehearsal.births(bd=7)
    rehearsal.hear("DBIRTH", payload(2, TEMP, ts=START + 2), "fan")
    rehearsal.hear("NDEATH", payload(None, bd_seq(7), ts=None))
    assert states(rehearsal.said(wire.Status)) == ["online", "online", "offline", "offline"]
    assert rehearsal.qualities == [GOOD, GOOD, STALE, STALE]
    rehearsal.data(3, told(1, 99.0))
    assert rehearsal.asked == ["no_birth"]


@pytest.mark.parametrize("told_bd", [6, 8])
def test_a_death_of_another_connection_is_not_this_ones(told_bd):
    rehearsal = Rehearsal()
    rehearsal.births(bd=7)
    rehearsal.hear("NDEATH", payload(None, bd_seq(told_bd), ts=None))
    rehearsal.data(2, told(1, 21.0))
    assert states(rehearsal.said(wire.Status)) == ["online"]
    assert rehearsal.values[-1] == (5, 21)


def test_a_device_that_dies_and_is_born_again_goes_on_counting():
    rehearsal = Rehearsal()
    rehearsal.births()
    rehearsal.hear("DDEATH", payload(2, ts=START + 2), "pump")
    rehearsal.hear("DBIRTH", payload(3, TEMP, LOAD, ts=START + 3), "pump")
    assert [m.seq for m in rehearsal.said(wire.Data)] == [0, 1, 2]
    assert states(rehearsal.said(wire.Status)) == ["online", "offline", "online"]


def test_a_device_that_is_not_born_again_with_its_edge_node_is_away():
    rehearsal = Rehearsal()
    rehearsal.births()
    rehearsal.node_birth(ts=START + 5)
    rehearsal.wait(9_999)
    assert states(rehearsal.said(wire.Status)) == ["online"]
    rehearsal.wait(1)
    assert states(rehearsal.said(wire.Status)) == ["online", "offline"]


def test_an_interruption_is_a_gap_for_every_device_and_births_are_wanted():
    rehearsal = Rehearsal()
    rehearsal.births()
    rehearsal.host.interrupted(START + 50, rehearsal.out)
    rehearsal.host.rejoined()
    rehearsal.data(2, told(1, 99.0))
    assert rehearsal.gaps == [{"reason": "not_listening", "boot": f"sp-{START}-0"}]
    assert rehearsal.asked == ["not_listening"]
    assert rehearsal.values == [(5, 20), (None, None)]


def test_who_does_not_answer_is_asked_ever_less_often_and_then_no_more():
    rehearsal = Rehearsal()
    rehearsal.host.expect([("demo", "plant--press--pump"), ("demo", "plant--press--fan")])
    times = []
    for second in range(600):
        asked = len(rehearsal.asked)
        rehearsal.wait(1_000)
        times += [second] * (len(rehearsal.asked) - asked)
    waits = [b - a for a, b in pairwise(times)]
    assert waits == [1, 2, 4, 8, 16, 32, 60]
    rehearsal.data(9, told(1, 1.0))
    assert len(rehearsal.asked) == len(times) + 1


def test_only_devices_of_this_door_and_tenant_are_expected():
    rehearsal = Rehearsal(groups={"plant": "demo"})
    others = [("other", "plant--press"), ("demo", "nobodys--press"), ("demo", "printer-01")]
    rehearsal.host.expect([*others, ("demo", "Plant_1_press---0123456789ab")])
    rehearsal.wait(60_000)
    assert not rehearsal.asked


def test_a_group_that_is_nobodys_is_refused():
    rehearsal = Rehearsal(groups={"mill": "demo"})
    rehearsal.births()
    assert rehearsal.refusals == ["unknown_group", "unknown_group"]


def test_a_birth_that_the_broker_kept_is_asked_for_anew():
    rehearsal = Rehearsal()
    rehearsal.hear("NBIRTH", payload(0, bd_seq(), TEMP), retained=True)
    rehearsal.wait(0)
    assert not rehearsal.out.accepted
    assert rehearsal.asked == ["no_birth"]


@pytest.mark.parametrize("kind", ["NBIRTH", "NDEATH"])
def test_a_birth_or_a_death_without_bd_seq_is_refused(kind):
    rehearsal = Rehearsal()
    rehearsal.hear(kind, payload(0, TEMP))
    assert rehearsal.refusals == ["no_bd_seq"]


def test_edge_nodes_that_are_remembered_are_bounded():
    rehearsal = Rehearsal()
    rehearsal.host.max_nodes = 3
    for number in range(10):
        rehearsal.host.hear(
            Arrival(topic=f"spBv1.0/plant/NDATA/{number}", payload=payload(1)),
            retained=False,
            now_ms=START,
            out=rehearsal.out,
        )
    assert len(rehearsal.host._nodes) == 3


WORDS = st.tuples(
    st.sampled_from(["NBIRTH", "DBIRTH", "NDATA", "DDATA", "DDEATH", "NDEATH"]),
    st.sampled_from([None, 0, 1, 2, 3, 255]),
    st.lists(
        st.sampled_from(
            [
                TEMP,
                LOAD,
                bd_seq(),
                told(1, 7.0),
                told(2, 3, is_historical=True),
                told(1, 8.0, timestamp=START - 10),
                told(9, 1.0),
                {"name": "Temp", "datatype": 12, "string_value": "x"},
            ]
        ),
        max_size=4,
    ),
    st.integers(-3, 50),
    st.integers(0, 3_000),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=25))
def test_whatever_is_said_all_of_it_can_be_stored_and_numbers_have_no_holes(words):
    rehearsal = Rehearsal()
    for kind, seq, metrics, later, wait in words:
        rehearsal.wait(wait)
        device = "pump" if kind.startswith("D") else None
        rehearsal.hear(kind, payload(seq, *metrics, ts=START + later), device)
    rehearsal.host.interrupted(rehearsal.now_ms, rehearsal.out)
    store = MemoryStore()
    committed = store.commit(rehearsal.out.accepted, rehearsal.out.refused, rehearsal.now_ms)
    assert committed.strangers == 0
    assert {one.reason for one in store.refused} <= {
        "no_seq",
        "no_bd_seq",
        "no_name",
        "older_session",
        "duplicate_metric",
        "duplicate_alias",
    }
    assert committed.duplicates == 0
    for told_ack in committed.told:
        assert told_ack.ack.ranges == ()
