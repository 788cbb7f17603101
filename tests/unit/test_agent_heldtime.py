"""How messages that were read before the clock was trusted get their instants."""

from __future__ import annotations

import pytest

from edge_agent.framing import data_draft, event_draft
from edge_agent.outbox import heldtime
from edge_agent.outbox.heldtime import Dating, HeldBoot, MachineStart, MachineTime
from edge_agent.source import Frame, Happening
from foremend import wire
from foremend.values import Quality
from foremend.wire import Channel, Up

CHANNELS = (Channel(name="a", unit="1"),)
HERE = MachineStart(machine="now", utc_ms=1_000_000)


def held(no: int, machine: str, *, begun_ms: int, last_ms: int) -> HeldBoot:
    birth = wire.Birth(
        boot=f"b{no}",
        boot_ms=0,
        clock="held",
        schema=wire.schema_hash(CHANNELS),
        channels=CHANNELS,
        family="f",
        model="m",
    )
    begun = MachineTime(machine=machine, mono_ms=begun_ms)
    return HeldBoot(no=no, boot=f"b{no}", birth=wire.encode(birth), begun=begun, last_ms=last_ms)


def test_boots_since_the_machines_start_are_dated_exactly() -> None:
    boots = [
        held(1, "now", begun_ms=10, last_ms=50),
        held(2, "now", begun_ms=60, last_ms=90),
    ]

    found = heldtime.datings(boots, HERE)

    assert found == {n: Dating(offset_ms=1_000_000, exact=True) for n in (1, 2)}


def test_an_earlier_start_ends_where_the_next_one_begins_at_the_latest() -> None:
    boots = [
        held(1, "first", begun_ms=0, last_ms=300),
        held(2, "second", begun_ms=0, last_ms=500),
        held(3, "second", begun_ms=600, last_ms=700),
        held(4, "now", begun_ms=0, last_ms=10),
    ]

    found = heldtime.datings(boots, HERE)

    assert found[4] == Dating(offset_ms=1_000_000, exact=True)
    assert found[3] == found[2] == Dating(offset_ms=1_000_000 - 700, exact=False)
    assert found[1] == Dating(offset_ms=1_000_000 - 700 - 300, exact=False)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("exact", [False, True])
def test_frames_keep_everything_but_their_time_and_a_guess_is_suspect(
    packed: bool, exact: bool
) -> None:
    frames = [
        Frame(ts_ms=5, values=(1.5,), phase=3),
        Frame(ts_ms=9, values=(None,), quality=Quality.STALE),
    ]
    payload = data_draft(frames, "schema", packed=packed).encode("boot", 7)

    dated = heldtime.date(Up.DATA, payload, Dating(offset_ms=1_000, exact=exact))

    message = wire.decode_up(Up.DATA, dated)
    assert isinstance(message, wire.Data)
    assert (message.boot, message.seq, message.schema) == ("boot", 7, "schema")
    assert (message.frames.t0_ms, message.frames.offset_ms) == (1_005, [0, 4])
    assert message.frames.values == [[1.5, None]]
    first = Quality.GOOD if exact else Quality.SUSPECT
    assert message.frames.quality == [first, Quality.STALE]
    assert (dated[:1] == b"{") is not packed


def test_an_event_that_is_dated_by_guess_says_so() -> None:
    payload = event_draft(Happening(ts_ms=5, code="E1", details={"n": 1})).encode("boot", 7)

    dated = heldtime.date(Up.EVENT, payload, Dating(offset_ms=1_000, exact=False))

    event = wire.decode_up(Up.EVENT, dated)
    assert isinstance(event, wire.Event)
    assert (event.ts_ms, event.details) == (1_005, {"n": 1, "clock": "estimated"})


def test_what_cannot_be_read_is_left_for_ingest_to_refuse() -> None:
    assert heldtime.date(Up.DATA, b"{oops", Dating(offset_ms=1, exact=True)) == b"{oops"


@pytest.mark.parametrize(("exact", "clock"), [(True, "trusted"), (False, "held")])
def test_a_birth_says_when_its_boot_began_and_whether_that_is_known(
    exact: bool, clock: str
) -> None:
    boot = held(1, "now", begun_ms=40, last_ms=50)

    birth = wire.decode_up(Up.BIRTH, heldtime.introduce(boot, Dating(offset_ms=1_000, exact=exact)))

    assert isinstance(birth, wire.Birth)
    assert (birth.boot_ms, birth.clock, birth.channels) == (1_040, clock, CHANNELS)
