"""Frames, broadcasts, faults, parameters and requests of J1939."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from j1939 import DTC

from edge_agent.phases import phase_function
from edge_agent.sources.j1939.asking import NULL, Asking, name_of
from edge_agent.sources.j1939.faults import DM1, DM2, Fault, Faults, faults, lamp
from edge_agent.sources.j1939.frames import (
    ADDRESS_CLAIMED,
    GLOBAL,
    REQUEST,
    TRANSFER_CONTROL,
    TRANSFER_DATA,
    Broadcasts,
    Parameters,
    identifier,
    parameters,
)
from edge_agent.sources.j1939.spns import Spn, shipped, wanted
from foremend.errors import ConfigurationError
from foremend.values import Phase

SENDER = 7


def group(pgn: int, payload: bytes, source: int = SENDER) -> Parameters:
    return Parameters(pgn=pgn, source=source, destination=GLOBAL, payload=payload)


def broadcast(pgn: int, payload: bytes) -> list[Parameters]:
    size, count = len(payload), -(-len(payload) // 7)
    said = (
        bytes([32]) + size.to_bytes(2, "little") + bytes([count, 255]) + pgn.to_bytes(3, "little")
    )
    padded = payload.ljust(7 * count, b"\xff")
    packets = [bytes([n + 1]) + padded[7 * n : 7 * n + 7] for n in range(count)]
    return [group(TRANSFER_CONTROL, said), *(group(TRANSFER_DATA, packet) for packet in packets)]


def whole(heard: list[Parameters], every_ms: int = 50) -> list[Parameters]:
    kept = Broadcasts()
    told = [kept.whole(each, n * every_ms) for n, each in enumerate(heard)]
    return [each for each in told if each is not None]


@pytest.mark.parametrize(
    ("number", "pgn", "source", "destination"),
    [(0x18FECA03, 65226, 3, 255), (0x0CF00400, 61444, 0, 255), (0x18EAFFF9, REQUEST, 0xF9, 255),
     (0x18EA00F9, REQUEST, 0xF9, 0), (0x19F00502, 0x1F005, 2, 255)],
)  # fmt: skip
def test_an_identifier_says_what_from_whom_and_to_whom(number, pgn, source, destination) -> None:
    read = parameters(number, b"")
    assert (read.pgn, read.source, read.destination) == (pgn, source, destination)
    priority = number >> 26
    assert identifier(pgn, source, destination=destination, priority=priority) == number


@given(st.binary(min_size=9, max_size=1785))
def test_a_broadcast_arrives_as_it_was_sent(payload: bytes) -> None:
    assert whole(broadcast(DM1, payload)) == [group(DM1, payload)]


@given(st.binary(min_size=9, max_size=100), st.data())
def test_a_broadcast_that_lost_or_repeats_a_packet_is_no_message(payload: bytes, data) -> None:
    heard = broadcast(DM1, payload)
    at = data.draw(st.integers(1, len(heard) - 1))
    assert whole(heard[:at] + heard[at + 1 :]) == []
    if at < len(heard) - 1:
        assert whole(heard[: at + 1] + heard[at:]) == []


def test_a_packet_that_comes_too_late_ends_its_broadcast() -> None:
    assert whole(broadcast(DM1, bytes(20)), every_ms=750) != []
    assert whole(broadcast(DM1, bytes(20)), every_ms=751) == []


def test_senders_do_not_mix() -> None:
    mine, theirs = broadcast(DM1, b"m" * 14), broadcast(DM1, b"t" * 14)
    others = [group(each.pgn, each.payload, source=9) for each in theirs]
    mixed = [each for pair in zip(mine, others, strict=True) for each in pair]
    assert whole(mixed) == [group(DM1, b"m" * 14), group(DM1, b"t" * 14, source=9)]


@given(st.integers(1, 0x7FFFF), st.integers(0, 30), st.integers(0, 127))
def test_a_code_says_what_another_library_wrote(spn: int, fmi: int, count: int) -> None:
    code = DTC(spn=spn, fmi=fmi, oc=count).dtc.to_bytes(4, "little")
    known = None if count == 127 else count
    assert faults(b"\x00\xff" + code) == [Fault(spn=spn, fmi=fmi, count=known, old=False)]


def test_padding_none_and_half_a_code_are_no_faults() -> None:
    code = DTC(spn=100, fmi=1, oc=3).dtc.to_bytes(4, "little")
    assert faults(b"\x00\xff" + bytes(4) + b"\xff\xff") == []
    assert faults(b"\x00\xff" + b"\xff" * 6) == []
    assert len(faults(b"\x00\xff" + code + code[:3])) == 1


@pytest.mark.parametrize(
    ("byte", "said"),
    [(0x00, ("none", "info")), (0x04, ("amber_warning", "warning")),
     (0x14, ("red_stop", "critical")), (0x40, ("malfunction", "warning")),
     (0x01, ("protect", "warning")), (0xFF, ("none", "info"))],
)  # fmt: skip
def test_the_gravest_lamp_that_is_lit_counts(byte: int, said) -> None:
    assert lamp(bytes([byte, 0xFF])) == said


def message(*codes: tuple[int, int], lamps: int = 0x04) -> bytes:
    told = b"".join(DTC(spn=s, fmi=f, oc=1).dtc.to_bytes(4, "little") for s, f in codes)
    return (bytes([lamps, 0xFF]) + (told or bytes(4))).ljust(8, b"\xff")


def test_faults_are_told_when_they_come_and_when_they_end_by_each_sender() -> None:
    known = Faults()

    def said(pgn: int, payload: bytes, source: int = SENDER) -> list[tuple[str, str]]:
        heard = group(pgn, payload, source)
        return [(h.code, h.severity) for h in known.hear(heard, 5)]

    assert said(DM1, message((100, 1), (110, 0))) == [
        ("spn100_fmi1", "warning"),
        ("spn110_fmi0", "warning"),
    ]
    assert said(DM1, message((100, 1), (110, 0))) == []
    assert said(DM1, message(), source=8) == []
    assert said(DM2, message((100, 1))) == [("spn100_fmi1_stored", "info")]
    assert said(DM1, message((110, 0), lamps=0)) == [("spn100_fmi1_cleared", "info")]
    assert said(DM1, b"\x00\xff") == []
    assert said(DM1, message(lamps=0)) == [("spn110_fmi0_cleared", "info")]


def test_a_fault_brings_its_lamp_its_sender_and_a_count_that_is_known() -> None:
    (told,) = Faults().hear(group(DM1, message((100, 1))), 5)
    assert told.details == {"spn": 100, "fmi": 1, "lamp": "amber_warning", "source": 7, "oc": 1}
    unknown = bytes([0x04, 0xFF]) + DTC(spn=100, fmi=1, oc=127).dtc.to_bytes(4, "little")
    (told,) = Faults().hear(group(DM1, unknown), 5)
    assert "oc" not in told.details


@pytest.mark.parametrize(
    ("spn", "payload", "value"),
    [
        (190, bytes([0, 0, 0, 0xE0, 0x38, 0, 0, 0]), 1820.0),
        (110, bytes([124, *[0xFF] * 7]), 84.0),
        (168, bytes([0xFF] * 4 + [0x30, 0x02, 0xFF, 0xFF]), 28.0),
        (1713, bytes([0, 0, 0b0000_0001, 0]), 1.0),
        (1713, bytes([0, 0, 0b1111_1110, 0]), None),
        (110, bytes([0xFA, *[0xFF] * 7]), 210.0),
        (110, bytes([0xFB, *[0xFF] * 7]), None),
        (110, bytes([0xFE, *[0xFF] * 7]), None),
        (190, bytes([0xFF] * 8), None),
        (190, bytes([0, 0, 0, 0x00, 0xFE, 0, 0, 0]), None),
        (190, bytes([0, 0, 0, 0x00]), None),
        (247, bytes([0x40, 0x0D, 0x03, 0x00]), 10_000.0),
    ],
)
def test_a_parameter_is_a_value_or_none(spn: int, payload: bytes, value: float | None) -> None:
    read = shipped()[spn].read(payload)
    assert read == (None if value is None else pytest.approx(value))


@given(st.binary(max_size=8))
def test_whatever_a_frame_holds_no_parameter_exceeds_what_it_can_say(payload: bytes) -> None:
    for spn in shipped().values():
        value = spn.read(payload)
        most = 0xFA + 1 if spn.bits % 8 == 0 else 1 << spn.bits
        top = most << max(spn.bits - 8, 0)
        assert value is None or spn.offset <= value < top * spn.scale + spn.offset


def test_a_path_names_a_parameter_that_is_known() -> None:
    mine = Spn(spn=520_001, name="filter", pgn=65_300, byte=1, bits=8, unit="kPa")
    assert wanted("spn:520001@9", {520_001: mine}) == (mine, 9)
    with pytest.raises(ConfigurationError, match=r"spns"):
        wanted("spn:520001", shipped())
    with pytest.raises(ConfigurationError, match="no spn:NUMBER"):
        wanted("pgn:5", shipped())


def asking(**more: object) -> Asking:
    settings = {"address": 249, "name": name_of(5), "groups": (65253, 65227), "every_ms": 1_000}
    return Asking(**(settings | more))


def test_an_address_is_claimed_once_and_then_asked_in_turns() -> None:
    asks = asking()
    claim = (0x18EEFFF9, name_of(5).to_bytes(8, "little"))
    hours, stored = (0x18EAFFF9, b"\xe5\xfe\x00"), (0x18EAFFF9, b"\xcb\xfe\x00")
    assert list(asks.due(0)) == [claim, hours, stored]
    assert list(asks.due(999)) == []
    assert list(asks.due(1_000)) == [hours, stored]


def test_who_does_not_ask_says_nothing_at_all() -> None:
    asks = asking(groups=())
    assert list(asks.due(0)) == []
    query = group(REQUEST, ADDRESS_CLAIMED.to_bytes(3, "little"))
    assert list(asks.hear(query)) == []


def test_an_address_is_kept_against_a_higher_name_and_given_up_to_a_lower_one() -> None:
    asks = asking()
    list(asks.due(0))
    name = name_of(5)
    higher = group(ADDRESS_CLAIMED, (name + 1).to_bytes(8, "little"), source=249)
    lower = group(ADDRESS_CLAIMED, (name - 1).to_bytes(8, "little"), source=249)
    elsewhere = group(ADDRESS_CLAIMED, bytes(8), source=3)
    assert [frame[0] & 0xFF for frame in asks.hear(higher)] == [249]
    assert list(asks.hear(elsewhere)) == []
    assert [frame[0] & 0xFF for frame in asks.hear(lower)] == [NULL]
    assert asks.lost
    assert list(asks.due(10_000)) == []


@pytest.mark.parametrize(
    ("speed", "phase"),
    [(1820.0, Phase.RUNNING), (860.0, Phase.IDLE), (180.0, Phase.STOPPED), (0.0, Phase.STOPPED),
     (None, Phase.UNKNOWN)],
)  # fmt: skip
def test_phases_of_an_excavator(speed: float | None, phase: Phase) -> None:
    assert phase_function("hydraulic_excavator")("unknown", {"engine_speed": speed}) is phase
