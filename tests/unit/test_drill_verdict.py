"""What a drill's figures mean: each is held to a ledger of a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.drill.ledger import Acked, Formed, Generated, Kept, Ledger, LedgerWriter, Line, Undone
from stack.drill.verdict import Found, Gap, Stored, judge, mark, recovered

if TYPE_CHECKING:
    from pathlib import Path

DEVICE, BOOT = "d", "b"


def generated(number: int) -> Generated:
    return Generated(device=DEVICE, number=number, hash=f"h{number}")


def formed(seq: int, *numbers: int) -> Formed:
    return Formed(device=DEVICE, boot=BOOT, seq=seq, hash=f"m{seq}", numbers=numbers)


def kept(*seqs: int) -> Kept:
    return Kept(device=DEVICE, boot=BOOT, seqs=seqs)


def acked(first: int, last: int) -> Acked:
    return Acked(device=DEVICE, boot=BOOT, spans=((first, last),))


def gap(first: int, end: int) -> Gap:
    return Gap(device=DEVICE, boot=BOOT, first=first, end=end, reason="outbox_full")


def found(*numbers: int) -> tuple[Found, ...]:
    return tuple(Found(reading=(DEVICE, n), hash=f"h{n}") for n in numbers)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl")


def write(ledger: Ledger, *lines: Line) -> None:
    writer = LedgerWriter(ledger.path)
    for line in lines:
        writer.write(line)
    ledger.read()


TWO = (generated(1), formed(0, 1), kept(0), generated(2), formed(1, 2), kept(1))


def test_what_was_kept_and_is_stored_is_in_order(ledger: Ledger) -> None:
    write(ledger, *TWO, acked(0, 1))
    verdict = judge(ledger, Stored(found=found(1, 2), gaps=()))

    assert (verdict.generated, verdict.acked, verdict.stored) == (2, 2, 2)
    assert (verdict.lost, verdict.duplicates, verdict.altered, verdict.unkept) == (0, 0, 0, 0)


def test_what_was_acknowledged_and_is_not_stored_is_lost(ledger: Ledger) -> None:
    write(ledger, *TWO, acked(0, 1))

    assert judge(ledger, Stored(found=found(1), gaps=())).lost == 1


def test_what_was_kept_and_never_acknowledged_is_owed_all_the_same(ledger: Ledger) -> None:
    write(ledger, *TWO)
    verdict = judge(ledger, Stored(found=found(1), gaps=()))

    assert (verdict.acked, verdict.lost) == (0, 1)


def test_what_a_gap_names_is_not_lost_and_counts_as_a_gap(ledger: Ledger) -> None:
    write(ledger, *TWO, acked(0, 1))
    verdict = judge(ledger, Stored(found=found(1), gaps=(gap(1, 2),)))

    assert (verdict.lost, verdict.gaps_recorded, verdict.acked) == (0, 1, 1)


def test_a_gap_beside_the_loss_does_not_excuse_it(ledger: Ledger) -> None:
    write(ledger, *TWO, acked(0, 1))

    assert judge(ledger, Stored(found=found(1), gaps=(gap(2, 9),))).lost == 1


def test_a_reading_that_is_stored_three_times_is_doubled_twice(ledger: Ledger) -> None:
    write(ledger, *TWO)

    assert judge(ledger, Stored(found=found(1, 2, 2, 2), gaps=())).duplicates == 2


def test_a_reading_that_is_stored_with_other_values_is_altered_and_lost(ledger: Ledger) -> None:
    write(ledger, *TWO)
    wrong = Found(reading=(DEVICE, 2), hash="other")
    verdict = judge(ledger, Stored(found=(*found(1), wrong), gaps=()))

    assert (verdict.altered, verdict.lost) == (1, 1)


def test_what_never_reached_the_disk_is_counted_apart(ledger: Ledger) -> None:
    write(ledger, *TWO, generated(3), formed(2, 3), generated(4))
    verdict = judge(ledger, Stored(found=found(1, 2), gaps=()))

    assert (verdict.unkept, verdict.lost) == (2, 0)


def test_a_number_that_a_full_disk_gave_to_another_speaks_for_the_other_alone(
    ledger: Ledger,
) -> None:
    first = formed(0, 1)
    undone = Undone(device=DEVICE, boot=BOOT, seq=0, hash=first.hash)
    write(ledger, generated(1), first, undone, acked(0, 0))
    verdict = judge(ledger, Stored(found=(), gaps=()))

    assert (verdict.acked, verdict.lost, verdict.unkept) == (0, 0, 1)


def test_a_half_written_line_is_read_once_it_is_whole(ledger: Ledger) -> None:
    write(ledger, generated(1))
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole + whole.replace(b'"number":1', b'"number":2')[:-5])
    ledger.read()
    assert set(ledger.generated) == {(DEVICE, 1)}

    ledger.path.write_bytes(whole + whole.replace(b'"number":1', b'"number":2'))
    ledger.read()
    assert set(ledger.generated) == {(DEVICE, 1), (DEVICE, 2)}


def test_recovery_needs_the_backlog_and_something_new(ledger: Ledger) -> None:
    write(ledger, *TWO)
    since = mark(ledger)
    write(ledger, generated(3), formed(2, 3), kept(2))

    write(ledger, acked(2, 2))
    assert not recovered(ledger, since, [DEVICE]), "the backlog is still there"
    write(ledger, acked(0, 1))
    assert recovered(ledger, since, [DEVICE])


def test_an_old_acknowledgement_alone_is_no_recovery(ledger: Ledger) -> None:
    write(ledger, *TWO)
    since = mark(ledger)
    write(ledger, acked(0, 1))

    assert not recovered(ledger, since, [DEVICE]), "nothing new was acknowledged"


spans = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted).map(tuple)


@given(st.lists(spans, max_size=12))
def test_acknowledged_is_the_union_of_what_was_told(told: list[tuple[int, int]]) -> None:
    ledger = Ledger(path=None)  # type: ignore[arg-type] - nothing is read
    for seq in range(20):
        ledger._take(formed(seq, seq + 1))
    for first, last in told:
        ledger._take(acked(first, last))

    union = {seq for first, last in told for seq in range(first, last + 1) if seq < 20}
    assert {seq for _, _, seq in ledger.acked} == union
