"""When acknowledgements leave: at once after a silence, coalesced in a stream, none lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from foremend import wire
from ingest.acks import Told
from ingest.telling import COALESCE_S, Teller

DEVICES = [wire.Address(tenant="demo", device=f"d{n}") for n in range(3)]


def told(device: int, upto: int, **fields: object) -> Told:
    return Told(address=DEVICES[device], ack=wire.Ack(boot="b", upto=upto, **fields))


def test_a_device_that_was_quiet_is_answered_at_once() -> None:
    teller = Teller()
    assert teller.add([told(0, 5)], now=100.0) == [told(0, 5)]
    assert teller.add([told(0, 6)], now=101.5) == [told(0, 6)]


def test_a_device_that_streams_is_answered_within_a_tenth_of_a_second_by_the_latest() -> None:
    teller = Teller()
    teller.add([told(0, 0)], now=100.0)
    teller.due(100.0)
    first = teller.add([told(0, 1)], now=100.01)
    assert [t.ack.upto for t in first] == [1]
    assert teller.add([told(0, 2)], now=100.02) == []
    assert teller.add([told(0, 3)], now=100.03) == []
    patience = teller.patience(100.03)
    assert patience is not None
    assert patience <= COALESCE_S
    assert teller.due(100.03 + patience + 1e-9) == [told(0, 3)]
    assert teller.patience(100.2) is None


def test_refusals_that_wait_are_all_told() -> None:
    def refusal(name: str) -> Told:
        return Told(
            address=DEVICES[0], ack=wire.Ack(refused=(wire.Refusal(hash=name, reason="r"),))
        )

    teller = Teller()
    out = [
        t
        for n, now in enumerate((1.0, 1.01, 1.02, 1.03))
        for t in teller.add([refusal(str(n))], now)
    ]
    out += teller.rest()
    assert sorted(r.hash for t in out for r in t.ack.refused) == ["0", "1", "2", "3"]


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 9), st.floats(0, 2, allow_nan=False)),
        max_size=40,
    )
)
def test_the_last_word_on_each_device_always_leaves(steps) -> None:
    teller, now, last, heard = Teller(), 0.0, {}, {}
    for device, upto, wait in steps:
        now += wait
        for one in (*teller.due(now), *teller.add([told(device, upto)], now)):
            heard[one.address] = one.ack.upto
        last[DEVICES[device]] = upto
    for one in teller.rest():
        heard[one.address] = one.ack.upto
    assert heard == last
