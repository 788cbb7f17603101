"""Which conditions of an MTConnect device are active, and what becomes an event; pure.

ANSI/MTC1.4 Part 3, chapter "Condition": `Normal` without a native code ends all active conditions
of its data item, with one that one alone; `Unavailable` says nothing of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from edge_agent.source import Happening
from foremend.values import cleared

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edge_agent.sources.mtconnect.words import Condition, Level
    from foremend.clock import Millis
    from foremend.wire import Scalar

_SEVERITY: Final[dict[Level, Literal["warning", "error"]]] = {
    "warning": "warning",
    "fault": "error",
}
LONGEST: Final = 256
"""Characters of a text on the wire."""


@dataclass(slots=True)
class Conditions:
    """The active conditions, by data item and key."""

    active: dict[tuple[str, str | None], Condition] = field(default_factory=dict)

    def standing(self) -> str:
        """Spell those that are active now, the faults first."""
        grave = sorted(self.active.values(), key=lambda c: c.level != "fault")
        return ", ".join(f"{c.level} {_code(c)}" for c in grave)

    def all_are(self, told: Iterable[Condition], now_ms: Millis) -> Iterator[Happening]:
        """Take a `current` document: what it does not name any more has ended."""
        listed = tuple(told)
        named = {(c.id, c.key) for c in listed if c.level in _SEVERITY}
        known = {c.id for c in listed if c.level != "unavailable"}
        for place in [p for p in self.active if p[0] in known and p not in named]:
            yield _cleared(self.active.pop(place), now_ms)
        yield from self.change(listed, now_ms)

    def change(self, told: Iterable[Condition], now_ms: Millis) -> Iterator[Happening]:
        """Take conditions in their order, and tell those that came, grew worse or ended."""
        for each in told:
            if each.level == "normal":
                yield from self._end(each, now_ms)
            elif each.level in _SEVERITY:
                yield from self._begin(each, now_ms)

    def _begin(self, now: Condition, now_ms: Millis) -> Iterator[Happening]:
        before = self.active.get((now.id, now.key))
        self.active[now.id, now.key] = now
        if before is None or before.level != now.level:
            yield Happening(
                ts_ms=now_ms - max(now.age_ms, 0),
                code=_code(now),
                severity=_SEVERITY[now.level],
                details=_details(now),
            )

    def _end(self, told: Condition, now_ms: Millis) -> Iterator[Happening]:
        ends = [p for p in self.active if p[0] == told.id and told.key in {None, p[1]}]
        for place in ends:
            yield _cleared(self.active.pop(place), now_ms - max(told.age_ms, 0))


def _cleared(was: Condition, ts_ms: Millis) -> Happening:
    return Happening(ts_ms=ts_ms, code=cleared(_code(was)), details=_details(was))


def _code(condition: Condition) -> str:
    """Give the device's own code, or the condition's kind where it has none."""
    return (condition.native_code or f"{condition.type.lower()}_{condition.level}")[:LONGEST]


def _details(condition: Condition) -> dict[str, Scalar]:
    told = {
        "data_item": condition.id,
        "type": condition.type,
        "level": condition.level,
        "condition_id": condition.condition_id,
        "native_severity": condition.native_severity,
        "qualifier": condition.qualifier,
        "text": condition.text,
    }
    return {name: value[:LONGEST] for name, value in told.items() if value}
