"""The agent's side of a talk with Marlin: which query comes next, and what the lines mean; pure.

One query is out at a time and the next waits for its `ok`, as Marlin's hosts do. Instants are of a
clock that is never set, but for those of happenings.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge_agent.live.words import Told
from edge_agent.source import Happening
from edge_agent.sources.marlin.complaints import Complaints
from edge_agent.sources.marlin.words import (
    RUNOUT,
    Whole,
    error_in,
    fault_of,
    runs_out,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_agent.live.words import Word
    from foremend.clock import Millis

ANSWER_MS: Final = 5_000
"""A query without an answer for so long is given up; `busy` gives it as long again."""
ASK_EVERY_MS: Final = 2_000
"""From one round of position, card and fans to the next."""
MOST_LINES: Final = 64
"""Of an answer that are kept for who asked."""
DULL: Final = 3
"""After so many answers in a row that tell nothing, a query is not asked again."""
_ROUND: Final = {"M27": "sd.", "M114": "x", "M123": "fan"}
"""What is asked beside temperatures, and how that begins which its answer tells."""
_SEVERE: Final = frozenset({"error", "critical"})
_POSITION: Final = re.compile(r"(?:ok )?X:(-?[\d.]+) Y:(-?[\d.]+) Z:(-?[\d.]+) E:-?[\d.]+ Count.+")
_CARD: Final = re.compile(r"(?:ok )?SD printing byte (\d+)/(\d+)")
_NO_CARD: Final = re.compile(r"(?:ok )?Not SD printing")
_FANS: Final = re.compile(r"(?:(?:E|PRN)\d:\d+ RPM ?)+(?:(?:E|PRN)\d@:\d+ ?)*")
_FAN: Final = re.compile(r"(E|PRN)(\d):(\d+) RPM")
_FAN_NAMES: Final = {"E": "fan", "PRN": "part_fan"}
"""Marlin counts the turns of hot ends' fans alone; Prusa's firmware adds the one that cools the
print (PRN1)."""
_FIRMWARE: Final = re.compile(r"FIRMWARE_NAME:(.+)")
_FIELD: Final = re.compile(r"([A-Z_]{4,}):(.*?)(?= [A-Z_]{4,}:|$)")
_CAPABILITY: Final = re.compile(r"Cap:([A-Z_]+):([01])")
_ACTION: Final = re.compile(r"// ?action: ?(\w+).*")
_OK: Final = re.compile(r"ok(?=\s|$).*")
_SIGNS: Final = re.compile(r"(?:ok|wait|echo:|Resend:|Error:|//|Cap:|start\b).*|.*busy:.*")
"""Lines that show that a Marlin is there, whatever else they say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A line to be sent once, and who is told the lines of its answer, None for none."""

    line: str
    answered: Callable[[tuple[str, ...] | None], object] = lambda _lines: None


@dataclass(slots=True, kw_only=True)
class Talk:
    """One connection."""

    report_ms: Millis
    """From one report of temperatures to the next."""
    _queue: deque[Order] = field(default_factory=lambda: deque([Order(line="M115")]))
    _out: Order | None = None
    _given_up_ms: Millis = 0
    _answer: list[str] = field(default_factory=list)
    _useful: bool = False
    """Whether the query that is out was answered with something."""
    _capable: set[str] = field(default_factory=set)
    _dull: Counter[str] = field(default_factory=Counter)
    """How often in a row a query was answered with nothing."""
    _round_ms: Millis = -(2**44)
    _reported_ms: Millis = -(2**44)
    _reports: Whole = field(default_factory=Whole)
    _complaints: Complaints = field(default_factory=Complaints)
    _firmware: str = ""
    _halted: bool = False
    _paused: bool = False
    _card_known: bool = False
    """Whether it was told if anything is printed from the card."""
    _byte: int | None = None
    """How far the print from the card was when that was told last, ..."""
    _size: int | None = None
    """... and of how many bytes."""

    def order(self, order: Order) -> None:
        """Send a line before the next query."""
        self._queue.appendleft(order)

    def lost(self) -> None:
        """Tell everybody who waits that there will be no answer."""
        for order in (*([self._out] if self._out else ()), *self._queue):
            order.answered(None)
        self._queue.clear()
        self._out = None

    def next_line(self, now_ms: Millis) -> str | None:
        """Give the line to send now, None where there is none or an answer is awaited."""
        if self._out is not None:
            if now_ms < self._given_up_ms:
                return None
            self._close(None)
        if not self._queue:
            self._queue.extend(Order(line=line) for line in self._due(now_ms))
        if not self._queue:
            return None
        self._out, self._useful = self._queue.popleft(), False
        self._answer.clear()
        self._given_up_ms = now_ms + ANSWER_MS
        return self._out.line

    def _due(self, now_ms: Millis) -> Iterator[str]:
        if not self._firmware:
            # It may have been starting up when it was asked.
            yield "M115"
            return
        if now_ms - self._round_ms >= ASK_EVERY_MS:
            self._round_ms = now_ms
            yield from (line for line in _ROUND if self._dull[line] < DULL)
        # Even a printer that reports by itself is asked where it does not.
        patience_ms = 3 * self.report_ms if "AUTOREPORT_TEMP" in self._capable else self.report_ms
        if now_ms - self._reported_ms >= patience_ms:
            self._reported_ms = now_ms
            yield "M105"

    def take(self, line: str, now_ms: Millis, wall_ms: Millis) -> list[Word]:
        """Read a line; what has no known form is left out."""
        words = list(self._words(line, now_ms, wall_ms))
        if self._out is not None:
            self._useful |= _is_answered(self._out.line, words)
            self._answers(line, now_ms)
        if not words and _SIGNS.fullmatch(line):
            words.append(Told())
        return words

    def _answers(self, line: str, now_ms: Millis) -> None:
        assert self._out is not None  # noqa: S101 - the caller saw it
        if "busy:" in line:
            self._given_up_ms = now_ms + ANSWER_MS
        elif len(self._answer) < MOST_LINES:
            self._answer.append(line)
        if _OK.fullmatch(line):
            self._weigh(self._out.line)
            self._close(tuple(self._answer))

    def _weigh(self, query: str) -> None:
        """Count whether a query was worth asking; noise may have eaten one answer, or two."""
        if query not in _ROUND:
            return
        unknown = any("Unknown command" in line for line in self._answer)
        self._dull[query] = 0 if self._useful else self._dull[query] + (DULL if unknown else 1)
        if query == "M27" and self._dull[query] >= DULL:
            # There is no card, so that nothing is printed from one.
            self._card_known = True

    def _close(self, answer: tuple[str, ...] | None) -> None:
        order, self._out = self._out, None
        if order is not None:
            order.answered(answer)

    def _words(self, line: str, now_ms: Millis, wall_ms: Millis) -> Iterator[Word]:
        told = self._reports.read(line)
        if told:
            self._reported_ms = now_ms
            yield Told(values={**told, "state": self._state()})
            return
        yield from self._told(line)
        error = error_in(line)
        if error is not None:
            yield from self._error(error, wall_ms)
        elif line == "start":
            yield from self._started(wall_ms)
        elif firmware := _FIRMWARE.fullmatch(line):
            yield from self._met(firmware[1], line, wall_ms)
        elif capability := _CAPABILITY.fullmatch(line):
            self._note(capability[1], able=capability[2] == "1")
        elif runs_out(line):
            yield Happening(ts_ms=wall_ms, code=RUNOUT, severity="warning")
        elif action := _ACTION.fullmatch(line):
            self._act(action[1])
            yield Told(values={"state": self._state()})

    def _told(self, line: str) -> Iterator[Told]:
        if position := _POSITION.fullmatch(line):
            yield Told(values=dict(zip(("x", "y", "z"), position.groups(), strict=True)))
        elif card := _CARD.fullmatch(line):
            yield self._printing(int(card[1]), int(card[2]))
        elif _NO_CARD.fullmatch(line):
            self._byte, self._card_known = None, True
            yield Told(values={"state": self._state(), "sd.progress": None})
        elif _FANS.fullmatch(line):
            told = {f"{_FAN_NAMES[of]}{at}.rpm": rpm for of, at, rpm in _FAN.findall(line)}
            yield Told(values=told)

    def _printing(self, byte: int, size: int) -> Told:
        # Some say this of a paused print too, which then does not go on.
        if self._byte is not None and byte != self._byte:
            self._paused = False
        # A size that is new may have lost its end: it counts once it is told again.
        known = size == self._size and size > 0
        self._byte, self._size, self._card_known = byte, size, True
        progress = 100 * byte / size if known else None
        return Told(values={"state": self._state(), "sd.progress": progress})

    def _state(self) -> str:
        if self._halted:
            return "halted"
        if self._paused:
            return "paused"
        if self._byte is not None:
            return "printing"
        return "idle" if self._card_known else "unknown"

    def _error(self, text: str, wall_ms: Millis) -> Iterator[Word]:
        fault = fault_of(text)
        if fault.code == "firmware_halted" or fault.severity == "critical":
            self._halted = True
            yield Told(values={"state": self._state()})
        yield from self._complaints.of(fault, text, wall_ms)

    def _started(self, wall_ms: Millis) -> Iterator[Word]:
        """Begin anew: the printer was reset, by us or by somebody."""
        self._halted, self._paused, self._firmware = False, False, ""
        self._byte, self._size, self._card_known = None, None, False
        self._reports = Whole()
        self._capable.clear()
        self._dull.clear()
        self._close(None)
        yield Happening(ts_ms=wall_ms, code="printer_reset", severity="warning")

    def _met(self, name: str, line: str, wall_ms: Millis) -> Iterator[Word]:
        told = dict(_FIELD.findall(line))
        if line != self._firmware:
            self._firmware = line
            fields = {"name": "FIRMWARE_NAME", "machine": "MACHINE_TYPE", "uuid": "UUID"}
            details = {k: told[v].strip()[:256] for k, v in fields.items() if told.get(v)}
            yield Happening(ts_ms=wall_ms, code="firmware", details=details or {"name": name[:256]})

    def _note(self, capability: str, *, able: bool) -> None:
        if able and capability == "AUTOREPORT_TEMP" and capability not in self._capable:
            self._queue.append(Order(line=f"M155 S{max(1, round(self.report_ms / 1000))}"))
        if able:
            self._capable.add(capability)

    def _act(self, action: str) -> None:
        if action in {"pause", "paused"}:
            self._paused, self._byte = True, None
        elif action in {"resume", "resumed", "cancel", "start"}:
            self._paused = False

    def pause(self) -> None:
        """Know that the print from the card was paused by us."""
        self._act("paused")

    def unpause(self) -> None:
        """Know that it goes on, or is over."""
        self._act("resumed")


def _is_answered(query: str, words: list[Word]) -> bool:
    """Tell whether words hold what a query asks for."""
    begins = _ROUND.get(query)
    told = (path for word in words if isinstance(word, Told) for path in word.values)
    return begins is not None and any(path.startswith(begins) for path in told)
