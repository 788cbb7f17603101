"""Payloads, topics and names: what is read, what is refused, and that nothing else happens."""

import string
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from foremend import wire
from foremend.errors import MalformedMessage
from foremend.values import ID_PATTERN
from ingest.sparkplug import topics
from ingest.sparkplug.channels import introduce
from ingest.sparkplug.naming import identifier, original
from ingest.sparkplug.payload import MAX_METRICS, DataType, Metric, Trust, decode, rebirth_command
from tests.sparkplug_words import START, TEMP, Rehearsal, bd_seq, payload

NAMES = st.text(alphabet=string.ascii_letters[:4] + "01_-/ °", min_size=1, max_size=70)


@given(st.binary(max_size=400))
@example(b"")
@example(payload(0, bd_seq(), TEMP))
@example(b"\x12\x04\x0a\x02\xff\xfe")  # a name that is not UTF-8
@example(b"\x12\x82\x01" + b"\x4a\x7f" * 65)
def test_any_bytes_are_read_or_refused(data):
    with suppress(MalformedMessage):
        decode(data)


@given(st.data())
def test_a_damaged_birth_is_read_or_refused_and_never_half_taken(data):
    birth = bytearray(payload(0, bd_seq(), TEMP | {"properties": {"engUnit": "°C"}}))
    for at in data.draw(st.lists(st.integers(0, len(birth) - 1), min_size=1, max_size=4)):
        birth[at] = data.draw(st.integers(0, 255))
    rehearsal = Rehearsal()
    rehearsal.hear("NBIRTH", bytes(birth))
    births, refused = rehearsal.said(wire.Birth), rehearsal.refusals
    assert not (births and refused) or set(refused) <= {"not_finite"}


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (b"\0" * (wire.MAX_PAYLOAD + 1), "too_large"),
        (payload(0, *[TEMP] * (MAX_METRICS + 1)), "too_many_metrics"),
        (payload(256), "out_of_bounds"),
        (payload(0, ts=2**50), "out_of_bounds"),
        (payload(0, TEMP | {"name": ""}), "bad_name"),
        (payload(0, TEMP | {"name": "a\0b"}), "bad_name"),
        (payload(0, TEMP | {"name": "a" * 257}), "bad_name"),
    ],
)
def test_what_is_out_of_bounds_is_refused_with_its_reason(broken, reason):
    with pytest.raises(MalformedMessage) as refusal:
        decode(broken)
    assert refusal.value.reason == reason


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from([8, 16, 32, 64]))
def test_a_signed_integer_is_read_from_its_own_width_and_from_a_wider_one(number, bits):
    value = number >> (64 - bits)
    datatype = {8: DataType.INT8, 16: DataType.INT16, 32: DataType.INT32, 64: DataType.INT64}[bits]
    for width in {bits, max(bits, 32)}:
        assert Metric(raw=value % 2**width).number(datatype) == float(value)


@pytest.mark.parametrize("raw", [float("nan"), float("inf"), "12", None])
def test_what_is_no_finite_number_is_no_reading(raw):
    assert Metric(raw=raw).number(DataType.DOUBLE) is None


def test_a_null_metric_holds_nothing_even_where_a_value_came_with_it():
    (metric,) = decode(payload(0, TEMP | {"is_null": True})).metrics
    assert metric.raw is None


@pytest.mark.parametrize(
    ("code", "trust"), [(0, Trust.BAD), (192, Trust.GOOD), (500, Trust.STALE), (77, Trust.BAD)]
)
def test_quality_codes(code, trust):
    (metric,) = decode(payload(0, TEMP | {"properties": {"Quality": code}})).metrics
    assert metric.trust is trust


def test_the_rebirth_command_is_a_payload_that_asks_for_it():
    (metric,) = decode(rebirth_command(START)).metrics
    assert (metric.name, metric.raw) == ("Node Control/Rebirth", True)


@given(NAMES)
def test_every_name_has_an_id_that_is_valid_and_stable(name):
    assert ID_PATTERN.match(identifier(name))
    assert identifier(name) == identifier(str(name))
    assert original(identifier(name)) in (name, None)


@given(st.lists(NAMES, max_size=30, unique=True))
@example(["a/b", "a--b", "a_b", "a b", "a-/b", "a/-b", "a//b", "a---b", "/a", "a/", "é", "è"])
def test_no_two_names_share_an_id(names):
    assert len({identifier(name) for name in names}) == len(names)


def test_nobody_can_choose_a_name_whose_id_is_another_names():
    stolen = identifier("a b")
    assert stolen not in {identifier(stolen), identifier(stolen.replace("---", "/-"))}
    assert stolen != identifier(stolen.replace("---", "-/"))


@given(st.text(max_size=80))
@example("spBv1.0/g/NBIRTH/n/d")
@example("spBv1.0/g/DDATA/n")
@example("spBv1.0//NBIRTH/n")
@example("spBv1.0/STATE/host")
@example("spBv1.0/g/NCMD/n")
@example("fm/1/0/demo/d/up/data")
def test_other_topics_are_refused(topic):
    with pytest.raises(MalformedMessage, match="not a topic"):
        topics.parse(topic)


def test_topics_are_read():
    topic = topics.parse("spBv1.0/plant 1/DDATA/press/pump")
    assert (topic.node.group, topic.node.node, topic.device) == ("plant 1", "press", "pump")
    assert topic.node.command_topic == "spBv1.0/plant 1/NCMD/press"


def test_channels_have_units_ranges_and_kinds_in_the_order_of_their_names():
    described = {"engUnit": "°C", "engLow": -10, "engHigh": "hot", "component": "motor_de"}
    known = introduce(
        decode(
            payload(
                0,
                {"name": "b/Temp", "datatype": 9, "float_value": 1, "properties": described},
                {"name": "a/On", "datatype": 11, "boolean_value": True},
                {"name": "State", "datatype": 12, "string_value": "RUN"},
                {"name": "Node Control/Rebirth", "datatype": 11, "boolean_value": False},
                {"name": "scratch", "datatype": 9, "float_value": 1, "is_transient": True},
                bd_seq(),
            )
        ).metrics
    )
    assert [(c.name, c.unit, c.kind, c.component) for c in known.channels] == [
        ("a--On", "1", "state", None),
        ("b--Temp", "Cel", "gauge", "motor_de"),
    ]
    assert (known.channels[1].low, known.channels[1].high) == (-10, None)
    assert known.passed_over == {"State", "Node Control/Rebirth", "scratch", "bdSeq"}


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        (({"alias": 1, "datatype": 9},), "no_name"),
        ((TEMP, TEMP | {"alias": 2}), "duplicate_metric"),
        ((TEMP, TEMP | {"name": "other"}), "duplicate_alias"),
    ],
)
def test_a_birth_that_contradicts_itself_is_refused(metrics, reason):
    rehearsal = Rehearsal()
    rehearsal.births(*metrics)
    assert rehearsal.refusals == [reason]
    assert rehearsal.asked == ["birth_refused"]
