"""Frames become messages that ingest takes, whatever they hold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.framing import Framer, columns, event_draft, frames_that_fit
from edge_agent.source import Frame, Happening
from foremend import wire
from foremend.wire import MAX_PAYLOAD, Up

if TYPE_CHECKING:
    from edge_agent.messages import Draft

ANY_FLOAT = st.none() | st.floats(width=64)


def frame(ts_ms: int, *values: float | None) -> Frame:
    return Frame(ts_ms=ts_ms, values=values or (1.0,))


def decoded(draft: Draft) -> wire.Data:
    message = wire.decode_up(draft.kind, draft.encode("b", 7))
    assert isinstance(message, wire.Data)
    return message


def test_frames_are_held_until_a_message_is_full() -> None:
    framer = Framer(schema="s", channels=1, frames_per_message=2)

    made = [len(framer.add(frame(ts_ms))) for ts_ms in (0, 1, 2)]

    assert made == [0, 1, 0]
    assert len(framer) == 1


def test_sealing_gives_what_is_held_once() -> None:
    framer = Framer(schema="s", channels=1, frames_per_message=10)
    framer.add(frame(5))

    [draft] = framer.seal()

    assert (draft.frames, draft.first_ms, draft.last_ms) == (1, 5, 5)
    assert framer.seal() == []


def test_a_clock_that_steps_back_ends_the_message() -> None:
    framer = Framer(schema="s", channels=1, frames_per_message=10)
    framer.add(frame(100))
    framer.add(frame(200))

    [draft] = framer.add(frame(200))

    assert decoded(draft).frames.offset_ms == [0, 100]
    assert len(framer) == 1


def test_a_message_bears_its_number_and_columns() -> None:
    framer = Framer(schema="s", channels=2, frames_per_message=2)
    framer.add(Frame(ts_ms=1000, values=(1.0, None), phase=3))

    [draft] = framer.add(Frame(ts_ms=1500, values=(2.0, 4.0), quality=1))

    message = decoded(draft)
    assert (message.boot, message.seq, message.schema) == ("b", 7, "s")
    assert message.frames == wire.Frames(
        t0_ms=1000,
        offset_ms=[0, 500],
        phase=[3, 0],
        quality=[0, 1],
        values=[[1.0, 2.0], [None, 4.0]],
    )


@given(
    frames=st.lists(st.tuples(st.integers(-5, 5), ANY_FLOAT, ANY_FLOAT), min_size=1, max_size=30),
    packed=st.booleans(),
)
def test_whatever_is_framed_is_valid_and_nothing_is_lost_or_moved(
    frames: list[tuple[int, float | None, float | None]], packed: bool
) -> None:
    framer = Framer(schema="s", channels=2, frames_per_message=4, packed=packed)

    drafts = [d for ts, *values in frames for d in framer.add(frame(ts, *values))]
    messages = [decoded(draft) for draft in (*drafts, *framer.seal())]

    given_back = [
        (m.frames.t0_ms + offset, *values)
        for m in messages
        for offset, values in zip(
            m.frames.offset_ms, zip(*m.frames.values, strict=True), strict=True
        )
    ]
    assert given_back == [
        (ts, *(v if v is not None and math.isfinite(v) else None for v in values))
        for ts, *values in frames
    ]


@given(channels=st.integers(1, wire.MAX_CHANNELS), wanted=st.integers(1, 5000))
def test_the_fullest_message_stays_within_the_limit(channels: int, wanted: int) -> None:
    count = frames_that_fit(channels, wanted)
    assert 1 <= count <= min(wanted, wire.MAX_FRAMES)
    row = (-1.2345678901234567e-300,) * channels

    # Enough of the fullest frames to see what each adds, without building the largest message.
    sizes = [
        len(
            wire.encode(
                columns(
                    [
                        Frame(ts_ms=2**44 * (i % 2), values=row, phase=32767, quality=32767)
                        for i in range(n)
                    ]
                )
            )
        )
        for n in (1, 2)
    ]

    assert sizes[0] + (count - 1) * (sizes[1] - sizes[0]) + 300 <= MAX_PAYLOAD


def test_a_happening_becomes_an_event() -> None:
    happening = Happening(
        ts_ms=9, code="part_replaced", component="nozzle", details={"part": "NOZ-1"}
    )

    message = wire.decode_up(Up.EVENT, event_draft(happening).encode("b", 3))

    assert message == wire.Event(
        boot="b",
        seq=3,
        ts_ms=9,
        code="part_replaced",
        component="nozzle",
        details={"part": "NOZ-1"},
    )
