"""The loop of one load process: make what is due, send it, hear what comes back."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from foremend.clock import wall_ms
from foremend.errors import ForemendError
from ingest import packets
from ingest.line import HungUp, dial
from stack.load.crowd import Crowd
from stack.load.troubles import LINES, Switches, Timetable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from foremend.settings import Settings
    from ingest.line import Line
    from stack.load.crowd import Said

BURST: Final = 256
"""Messages that are made between two looks at the network."""
BIRTH_AGAIN_S: Final = 10.0
PATIENCE_S: Final = 60.0
"""Without one more device made known, or message acknowledged, for so long, it is given up."""
UNANSWERED: Final = 500
"""Births on their way at once: each is a few kilobytes, and several rows in the database."""
LOOK_S: Final = 1.0
"""Between two looks at what has waited too long, once all is said."""
_ACKS: Final = "fm/1/+/{}/+/down/ack"


class NotIntroduced(ForemendError):
    """Ingest did not take every device's birth: it may not be running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What one process does; `first` numbers its devices apart from other processes'."""

    tenant: str
    first: int
    devices: int
    period_s: float
    seconds: float
    seed: int
    switches: Switches = field(default_factory=Switches)


class Speech:
    """Speaks for a crowd over a few connections, some of which may be cut."""

    def __init__(self, course: Course, settings: Settings) -> None:
        self._course, self._settings = course, settings
        names = [f"load-{course.first + n:06d}" for n in range(course.devices)]
        self.crowd = Crowd(
            names,
            tenant=course.tenant,
            switches=course.switches,
            seed=course.seed + course.first,
            start_ms=wall_ms(),
            period_s=course.period_s,
        )
        self.timetable = Timetable(course.switches)
        self._lines: dict[int, Line] = {line: self._dial(line) for line in range(LINES)}
        self._ear = dial(settings, f"load-ear-{course.first}", keepalive_s=0, clean=True)
        self._ear.send(packets.subscribe(1, [_ACKS.format(course.tenant)], qos=0))
        self._mid = self.sent = 0
        self._begun = time.perf_counter()

    def run(self) -> dict[str, Any]:
        """Introduce the devices, speak for so long, wait for what is on its way; give the figures.

        Raises:
            NotIntroduced: not every device became known in time.
            Unavailable: the broker cannot be reached.
        """
        self._introduce()
        self._begun, worked = time.perf_counter(), time.process_time()
        self._speak()
        spoken_s, cpu_s = self._now_s(), time.process_time() - worked
        drained = self._drain()
        for line in (*self._lines.values(), self._ear):
            line.close()
        return self._figures(spoken_s, cpu_s, drained=drained)

    def _now_s(self) -> float:
        return time.perf_counter() - self._begun

    def _dial(self, line: int) -> Line:
        name = f"load-{self._course.first}-{line}"
        return dial(self._settings, name, keepalive_s=0, clean=True)

    def _introduce(self) -> None:
        """Make every device known, a few hundred at a time.

        A birth is said again at once where ingest asks for it, as of each boot that it has not met
        since it began, and after a while where no answer comes.
        """
        crowd, asked = self.crowd, dict[int, float]()
        before, progressed = len(crowd.unborn), time.perf_counter()
        while crowd.unborn:
            now = time.perf_counter()
            awaited = crowd.unborn - crowd.called
            asked = {n: at for n, at in asked.items() if n in awaited and now - at < BIRTH_AGAIN_S}
            fresh = [n for n in sorted(crowd.unborn) if n not in asked][: UNANSWERED - len(asked)]
            self._send(crowd.birth(n) for n in fresh)
            asked |= dict.fromkeys(fresh, now)
            self._listen(0.02)
            if len(crowd.unborn) < before:
                before, progressed = len(crowd.unborn), now
            elif now - progressed > PATIENCE_S:
                raise NotIntroduced(f"{before} devices were not made known")

    def _speak(self) -> None:
        count, said = self._course.devices, 0
        every_s = self._course.period_s / count
        last = round(self._course.seconds / self._course.period_s) * count
        while said < last:
            now_s = self._now_s()
            self._trouble(now_s)
            due = min(int(now_s / every_s) + 1, last) - said
            fresh: list[Said] = []
            for turn in range(said, said + min(due, BURST)):
                if turn % count == 0:
                    self.crowd.advance()
                fresh += self.crowd.speak(turn % count, wall_ms(), now_s)
            self._send(fresh)
            said += min(due, BURST)
            self._listen(0.0 if due > BURST else 0.001)

    def _trouble(self, now_s: float) -> None:
        cut = self.timetable.cut(now_s)
        if cut in self._lines:
            self._lines.pop(cut).close()
        for line in self.timetable.back(now_s):
            self._restore(line)
        if self.timetable.storm(now_s):
            self._send(self.crowd.storm(wall_ms(), now_s))
        if self.crowd.unborn:
            self._send([self.crowd.birth(n) for n in sorted(self.crowd.unborn)])
            self.crowd.unborn.clear()

    def _restore(self, line: int) -> None:
        self._lines[line] = self._dial(line)
        self._send(self.crowd.again(range(line, self._course.devices, LINES)))

    def _send(self, said: Iterable[Said]) -> None:
        """Send over each device's line; what cannot go now is sent again later."""
        parts: dict[int, list[bytes]] = {}
        for one in said:
            self._mid = self._mid % 65_535 + 1
            parts.setdefault(one.device % LINES, []).append(
                packets.publish(one.topic, one.payload, self._mid)
            )
        for line, fresh in parts.items():
            if line in self._lines and self._lines[line].send(b"".join(fresh)):
                self.sent += len(fresh)

    def _listen(self, patience_s: float) -> None:
        for number, line in list(self._lines.items()):
            try:
                line.turn(0.0, reading=True)
            except HungUp:
                # Whoever cut it, it is dialled again in a moment.
                self._lines.pop(number).close()
                self.timetable.down[number] = self._now_s() + self._course.switches.flap_for_s
        messages, _ = self._ear.turn(patience_s, reading=True)
        now_s = self._now_s()
        for message in messages:
            self.crowd.hear(message.topic, message.payload, now_s)

    def _drain(self) -> bool:
        """Listen until all is acknowledged, or nothing more can be hoped for."""
        crowd = self.crowd
        for line in sorted(set(range(LINES)) - set(self._lines)):
            self._restore(line)
        self._send(crowd.let_go())
        left, progressed = crowd.unacknowledged, self._now_s()
        looked = progressed
        while left and (now_s := self._now_s()) - progressed < PATIENCE_S:
            self._listen(0.02)
            if crowd.unacknowledged < left:
                left, progressed = crowd.unacknowledged, now_s
            if now_s - looked > LOOK_S:
                looked = now_s
                for n in range(self._course.devices):
                    self._send(crowd.overdue(n, now_s))
        return not left

    def _figures(self, spoken_s: float, cpu_s: float, *, drained: bool) -> dict[str, Any]:
        tally = self.crowd.tally
        delays = sorted(tally.delays_s)
        return {
            "messages": tally.messages,
            "sent": self.sent,
            "duplicates": tally.duplicates,
            "reordered": tally.reordered,
            "resent": tally.resent,
            "flaps": self.timetable.flaps,
            "storms": self.timetable.storms,
            "acknowledged": tally.acknowledged,
            "unacknowledged": self.crowd.unacknowledged,
            "refused": tally.refused,
            "seconds": round(spoken_s, 2),
            "cpu_s": round(cpu_s, 2),
            "drained": drained,
            "ack_p50_ms": _percentile(delays, 0.5),
            "ack_p99_ms": _percentile(delays, 0.99),
        }


def _percentile(ordered: list[float], share: float) -> float | None:
    return round(1000 * ordered[int(share * (len(ordered) - 1))], 1) if ordered else None
