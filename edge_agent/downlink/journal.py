"""What the agent remembers of commands, so that none is run twice whenever it is killed."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from msgspec import Struct

from edge_agent.messages import Draft, Rank
from foremend import wire
from foremend.clock import Millis  # noqa: TC001 - a Struct's annotations are read at run time
from foremend.wire import Details, Up

NOTE: Final = "downlink"
REMEMBERED: Final = 32
"""Answers, the newest: a duplicate of anything older is refused by its number alone."""
INTERRUPTED: Final = "interrupted"
"""The agent ended while the command ran; how far it came is not known."""


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was answered to a command last."""

    id: str
    state: Literal["accepted", "refused", "finished", "failed"]
    reason: str = ""
    details: Details = {}


class Memory(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that is remembered."""

    counter: int = -1
    """The highest number that was taken, refused or not."""
    answers: tuple[Answer, ...] = ()
    """Oldest first."""

    def of(self, command: str) -> Answer | None:
        """Give the answer to a command."""
        return next((answer for answer in self.answers if answer.id == command), None)

    def with_answer(self, answer: Answer, counter: int | None = None) -> Memory:
        """Remember an answer in place of an earlier one to the same command."""
        others = [kept for kept in self.answers if kept.id != answer.id]
        highest = self.counter if counter is None else max(self.counter, counter)
        return Memory(counter=highest, answers=(*others, answer)[-REMEMBERED:])

    @property
    def unfinished(self) -> list[Answer]:
        """What was accepted and never finished."""
        return [answer for answer in self.answers if answer.state == "accepted"]


def encode(memory: Memory) -> dict[str, bytes | None]:
    """Give the note that keeps it."""
    return {NOTE: msgspec.json.encode(memory)}


def decode(notes: dict[str, bytes]) -> Memory:
    """Read it back; nothing is remembered before the first command."""
    return msgspec.json.decode(notes[NOTE], type=Memory) if NOTE in notes else Memory()


def draft(answer: Answer, ts_ms: Millis, *, packed: bool = False) -> Draft:
    """Make the message of an answer."""

    def encoded(boot: str, seq: int) -> bytes:
        result = wire.Result(
            boot=boot,
            seq=seq,
            ts_ms=ts_ms,
            command=answer.id,
            state=answer.state,
            reason=answer.reason[:256],
            details=answer.details,
        )
        return wire.encode(result, packed=packed)

    return Draft(kind=Up.RESULT, rank=Rank.EVENT, encode=encoded, first_ms=ts_ms, last_ms=ts_ms)
