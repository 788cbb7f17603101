"""What is in flight, and what takes it out."""

from __future__ import annotations

from edge_agent.messages import Key, Stored
from edge_agent.window import IN_FLIGHT, Window
from foremend import wire
from foremend.wire import Ack, Refusal, Up

OWN, OLD = "own", "old"


def message(seq: int, boot: str = OWN) -> Stored:
    key = Key(2 if boot == OWN else 1, seq)
    return Stored(key=key, boot=boot, kind=Up.DATA, payload=f"{boot} {seq}".encode())


def window_with(*seqs: int, boot: str = OWN, now_s: float = 0.0) -> Window:
    window = Window(OWN)
    for seq in seqs:
        window.send(message(seq, boot), now_s)
    return window


def test_at_most_64_messages_fly() -> None:
    assert window_with(*range(IN_FLIGHT)).free == 0
    assert IN_FLIGHT == 64


def test_only_an_acknowledgement_frees_the_window() -> None:
    window = window_with(0, 1, 2, 5)

    settlement = window.settle(Ack(boot=OWN, upto=1, ranges=((5, 5),)))

    assert settlement.spans == ((0, 1), (5, 5))
    assert window.free == IN_FLIGHT - 1


def test_an_acknowledgement_of_another_boot_frees_nothing() -> None:
    window = window_with(0, 1)

    window.settle(Ack(boot=OLD, upto=9))

    assert window.free == IN_FLIGHT - 2


def test_what_was_never_sent_cannot_be_acknowledged() -> None:
    settlement = window_with(0, 1).settle(Ack(boot=OWN, upto=900, ranges=((950, 960),)))

    assert settlement.spans == ((0, 1),)


def test_an_older_boot_may_be_acknowledged_past_what_this_process_sent() -> None:
    settlement = window_with(0, boot=OLD).settle(Ack(boot=OLD, upto=900))

    assert settlement.spans == ((0, 900),)


def test_a_refused_message_is_found_by_its_hash() -> None:
    window = window_with(3, 4)
    refusal = Refusal(hash=wire.digest(message(4).payload), reason="invalid")

    settlement = window.settle(Ack(refused=(refusal,)))

    assert settlement.refused == ((Key(2, 4), "invalid"),)
    assert settlement.spans == ()
    assert window.free == IN_FLIGHT - 1


def test_a_message_is_overdue_after_30_seconds_then_after_60_more() -> None:
    window = window_with(0)
    assert window.overdue(29.9) == frozenset()
    assert window.overdue(30.0) == {Key(2, 0)}

    assert window.send(message(0), 30.0) is True

    assert window.overdue(89.9) == frozenset()
    assert window.next_due_s() == 90.0


def test_hastening_brings_one_boot_forward_and_never_back() -> None:
    window = window_with(0)
    window.send(message(0, OLD), 0.0)

    window.hasten(OWN, 1.0)
    window.hasten(OWN, 5.0)

    assert window.overdue(1.0) == {Key(2, 0)}


def test_a_new_connection_begins_with_nothing_in_flight() -> None:
    window = window_with(0, 1)

    window.clear()

    assert window.free == IN_FLIGHT
    assert window.cursor is None
    assert window.settle(Ack(boot=OWN, upto=1)).spans == ((0, 1),)
