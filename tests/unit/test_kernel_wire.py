"""The wire: topics, payloads, and everything that must be refused."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foremend import wire
from foremend.errors import MalformedMessage
from foremend.wire import Up

IDS = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
CHANNELS = (wire.Channel(name="temp", unit="Cel"),)


def frames(**changes):
    fields = {
        "t0_ms": 0,
        "offset_ms": [0, 1],
        "phase": [3, 3],
        "quality": [0, 0],
        "values": [[1.0, None]],
    }
    return wire.Frames(**(fields | changes))


def data(**changes):
    return wire.Data(boot="b", seq=0, schema="s", frames=frames(**changes))


def refused(kind: Up, payload: bytes) -> str:
    with pytest.raises(MalformedMessage) as error:
        wire.decode_up(kind, payload)
    return error.value.reason


@given(IDS, IDS, st.sampled_from(Up))
def test_every_topic_that_is_written_can_be_read(tenant, device, kind):
    address = wire.Address(tenant=tenant, device=device)
    assert wire.parse_up(address.up(kind)) == (address, kind)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "fm/1/0/t/d/up/data/more",
        "fm/1/0/t/d/down/data",
        "fm/2/0/t/d/up/data",
        "fm/1/0/t/d/up/gossip",
        "fm/1/0/t/-d/up/data",
        "fm/1/0/t/d d/up/data",
    ],
)
def test_a_topic_of_another_shape_is_refused(topic):
    with pytest.raises(MalformedMessage):
        wire.parse_up(topic)


def test_a_device_cannot_write_into_anothers_partition():
    right = wire.partition_of("printer-01")
    with pytest.raises(MalformedMessage) as error:
        wire.parse_up(f"fm/1/{(right + 1) % 64}/demo/printer-01/up/data")
    assert error.value.reason == "wrong_partition"


def test_partitions_are_what_they_have_always_been():
    assert [wire.partition_of(name) for name in ("printer-01", "machine-04", "a")] == [18, 49, 3]


@pytest.mark.parametrize("packed", [False, True])
def test_a_message_survives_both_encodings(packed):
    assert wire.decode_up(Up.DATA, wire.encode(data(), packed=packed)) == data()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused(value):
    payload = wire.encode(data(values=[[1.0, value]]), packed=True)
    assert refused(Up.DATA, payload) == "not_finite"


def test_sums_that_overflow_do_not_condemn_finite_numbers():
    huge = data(values=[[1.7e308, 1.7e308]])
    assert wire.decode_up(Up.DATA, wire.encode(huge)) == huge


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"phase": [3]}, "ragged"),
        ({"values": [[1.0]]}, "ragged"),
        ({"offset_ms": [1, 1]}, "not_increasing"),
        ({"offset_ms": [0, 40 * 86_400_000]}, "span_too_long"),
    ],
)
def test_frames_that_do_not_fit_together_are_refused(changes, reason):
    assert refused(Up.DATA, wire.encode(data(**changes))) == reason


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "undecodable"),
        (b"{", "undecodable"),
        (b"{}", "invalid"),
        (b"\xc1\xff", "undecodable"),
        (b'{"boot": "\xff"}', "undecodable"),
        (b"{" + b" " * wire.MAX_PAYLOAD, "too_large"),
        (b'{"unknown":' + b"[" * 100_000, "too_deep"),
    ],
)
def test_garbage_is_refused_with_a_reason(payload, reason):
    assert refused(Up.EVENT, payload) == reason


@given(st.binary(max_size=200), st.sampled_from(Up))
def test_no_bytes_at_all_do_more_than_be_refused(payload, kind):
    told = ""
    try:
        wire.decode_up(kind, payload)
    except MalformedMessage as error:
        told = error.reason
    assert told in {"invalid", "undecodable", "not_finite", ""}


def test_of_duplicate_keys_the_last_wins():
    text = wire.encode(data()).replace(b'"seq":0', b'"seq":0,"seq":7')
    message = wire.decode_up(Up.DATA, text)
    assert isinstance(message, wire.Data)
    assert message.seq == 7


def birth(**changes):
    fields = {
        "boot": "b",
        "boot_ms": 0,
        "schema": wire.schema_hash(CHANNELS),
        "channels": CHANNELS,
        "family": "f",
        "model": "m",
    }
    return wire.encode(wire.Birth(**(fields | changes)))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema": "other"}, "wrong_schema_hash"),
        ({"timeline": "dream:1"}, "bad_timeline"),
        ({"channels": CHANNELS * 2}, "duplicate_channel"),
        ({"boot": "with space"}, "invalid"),
    ],
)
def test_a_birth_that_contradicts_itself_is_refused(changes, reason):
    assert refused(Up.BIRTH, birth(**changes)) == reason


def test_a_schema_is_its_order_too():
    one, two = wire.Channel(name="a", unit="1"), wire.Channel(name="b", unit="1")
    assert wire.schema_hash((one, two)) != wire.schema_hash((two, one))


def test_an_acknowledgement_that_is_none_is_refused():
    with pytest.raises(MalformedMessage):
        wire.decode_ack(b"[1]")
    assert wire.decode_ack(msgspec.json.encode(wire.Ack(boot="b", upto=3))).upto == 3
