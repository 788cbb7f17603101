"""No bytes that anybody sends may crash, stall or bloat ingest."""

from __future__ import annotations

import gc
import resource
import time
import tracemalloc

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from foremend import wire
from ingest import packets
from ingest.intake import Accepted, Arrival, Refused, read
from ingest.memory import MemoryStore
from ingest.rows import quarantine_rows

ADDRESS = wire.Address(tenant="demo", device="printer-01")
CHANNELS = (wire.Channel(name="temp", unit="Cel"), wire.Channel(name="power", unit="1"))
SCHEMA = wire.schema_hash(CHANNELS)
START = 1_767_225_600_000
BIRTH = wire.Birth(
    boot="b1",
    boot_ms=START,
    schema=SCHEMA,
    channels=CHANNELS,
    family="f",
    model="m",
    timeline="sim:fuzz",
)

json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["b1", SCHEMA, "gap", "sim:fuzz", "\0"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
NAMES = (
    *("boot", "seq", "schema", "frames", "t0_ms", "offset_ms"),
    *("phase", "quality", "values", "ts_ms", "code", "details"),
)
fields = st.sampled_from(NAMES)
shaped = st.dictionaries(fields, json_like | st.dictionaries(fields, json_like, max_size=6))


def encodings(value: object) -> list[bytes]:
    found = []
    for encode in (msgspec.json.encode, msgspec.msgpack.encode):
        try:
            found.append(encode(value))
        except (OverflowError, UnicodeEncodeError, msgspec.MsgspecError):
            continue
    return found


def settle(store: MemoryStore, arrival: Arrival) -> None:
    outcome = read(arrival)
    if isinstance(outcome, Accepted):
        store.commit([outcome], (), START)
    else:
        assert isinstance(outcome, Refused)
        assert outcome.reason
        quarantine_rows([outcome])
        store.commit((), [outcome], START)


@given(st.sampled_from(wire.Up), st.binary(max_size=400))
@example(wire.Up.DATA, b"")
@example(wire.Up.DATA, b"[" * 200_000)
@example(wire.Up.DATA, b"\x91" * 200_000)
@example(wire.Up.EVENT, b'{"boot":' + b"{" * 100_000)
@example(wire.Up.DATA, b"\xdf\xff\xff\xff\xff")
@example(wire.Up.DATA, b"\xdd\xff\xff\xff\xff")
@example(wire.Up.EVENT, b"\xc6\xff\xff\xff\xff")
@example(wire.Up.DATA, b" " * (wire.MAX_PAYLOAD + 1))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_bytes_are_taken_or_refused_with_a_reason(kind: wire.Up, payload: bytes) -> None:
    settle(MemoryStore(), Arrival(topic=ADDRESS.up(kind), payload=payload))


@given(st.sampled_from(wire.Up), shaped)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_anything_that_looks_like_a_message_is_taken_or_refused(kind: wire.Up, value) -> None:
    store = MemoryStore()
    settle(store, Arrival(topic=ADDRESS.up(wire.Up.BIRTH), payload=wire.encode(BIRTH)))
    for payload in encodings(value):
        settle(store, Arrival(topic=ADDRESS.up(kind), payload=payload))


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda b: b.decode("utf-8", "replace")))
@example("fm/1/18/demo/printer-01/up/data/more")
@example("fm/1/018/demo/printer-01/up/data")
@example("fm/1/18/../printer-01/up/data")
def test_any_topic_is_read_or_refused(topic: str) -> None:
    settle(MemoryStore(), Arrival(topic=topic, payload=b"{}"))


@given(st.binary(max_size=600))
@example(b"\x30\xff\xff\xff\xff")
@example(b"\x30\x80\x80\x80\x01" + b"x" * 100)
@example(b"\x32\x01\x00")
def test_any_stream_is_cut_up_or_given_up(stream: bytes) -> None:
    try:
        messages, others, rest = packets.split(stream)
    except packets.BrokenStream:
        return
    assert len(rest) <= len(stream)
    assert all(isinstance(m.topic, bytes) for m in messages)
    assert all(0 <= control.kind <= 0xF0 for control in others)


@given(
    st.lists(
        st.tuples(st.binary(max_size=300), st.binary(max_size=300), st.integers(0, 65_535)),
        max_size=6,
    ),
    st.integers(1, 50),
)
def test_a_stream_cut_anywhere_gives_the_same_messages(sent, step: int) -> None:
    stream = b"".join(packets.publish(*one) for one in sent)
    heard, rest = [], b""
    for at in range(0, len(stream), step):
        messages, _, rest = packets.split(rest + stream[at : at + step])
        heard += [tuple(m) for m in messages]
    assert (heard, rest) == (sent, b"")


BAD = [
    b"",
    b"\xff" * 1000,
    b'{"boot":1}',
    b"[" * 60_000,
    b'{"a":' * 20_000,
    b"\x91" * 60_000,
    b'{"boot":"' + b"x" * 200_000 + b'"}',
    b"{" + b'"k":1,' * 40_000 + b'"z":1}',
]


@pytest.mark.parametrize("payload", BAD, ids=range(len(BAD)))
def test_no_bad_message_takes_long(payload: bytes) -> None:
    began = time.process_time()
    for _ in range(20):
        read(Arrival(topic=ADDRESS.up(wire.Up.DATA), payload=payload))
    assert time.process_time() - began < 1.0


def test_a_flood_of_bad_messages_and_made_up_topics_grows_nothing_by_20_mib() -> None:
    def flood(count: int) -> None:
        for n in range(count):
            topic = f"fm/1/{n % 64}/t{n}/d{n}/up/data"
            read(Arrival(topic=topic, payload=BAD[n % len(BAD)]))
            address = wire.Address(tenant="t", device=f"d{n}")
            read(Arrival(topic=address.up(wire.Up.DATA), payload=b'{"boot":"%d"}' % n))

    flood(200)
    gc.collect()
    tracemalloc.start()
    flood(6000)
    gc.collect()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 20 * 1024**2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2 * 1024**2
