"""Runs scenarios one after the other, on servers that are shared as long as they stay whole."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from foremend.errors import ConfigurationError
from stack.drill.ground import NotHere, Programs, ThrowAway
from stack.drill.run import Course, Report, rehearse
from stack.drill.scenarios import BY_NAME, SCENARIOS, Scenario
from stack.drill.small_disk import NoMount

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A scenario that cannot be run here, and why."""

    scenario: str
    reason: str
    passed: None = None

    def figures(self) -> dict[str, Any]:
        """Give it as one JSON object's fields."""
        return {"scenario": self.scenario, "loops": 0, "passed": None, "skipped": self.reason}


def chosen(names: Sequence[str]) -> tuple[Scenario, ...]:
    """Give the scenarios of these names, `all` for every one; raises ConfigurationError."""
    if ALL in names:
        return SCENARIOS
    unknown = [name for name in names if name not in BY_NAME]
    if unknown:
        known = ", ".join((ALL, *BY_NAME))
        raise ConfigurationError(f"there is no scenario {unknown[0]!r}; there are {known}")
    return tuple(BY_NAME[name] for name in names)


@dataclass(slots=True, kw_only=True)
class Programme:
    """A series of scenarios.

    >>> for report in Programme(scenarios=chosen(["all"]), course=Course()).run():
    ...     print(report.passed)
    """

    scenarios: Sequence[Scenario]
    course: Course = field(default_factory=Course)
    devices: int = 4
    programs: Programs = field(default_factory=Programs)
    _ground: ThrowAway | None = None

    def run(self) -> Iterator[Report | Skipped]:
        """Run each scenario; the servers end with the last."""
        with ExitStack() as stack:
            servers = stack.enter_context(ExitStack())
            for scenario in self.scenarios:
                try:
                    report = rehearse(scenario, self._ground_for(scenario, servers), self.course)
                except (NotHere, NoMount) as reason:
                    yield Skipped(scenario=scenario.name, reason=str(reason))
                    continue
                if not report.passed:
                    # What failed may have left something broken that the next would be blamed for.
                    self._leave(servers)
                yield report

    def _ground_for(self, scenario: Scenario, servers: ExitStack) -> ThrowAway:
        if self._ground is not None and self._ground.kind is not scenario.ground:
            self._leave(servers)
        if self._ground is None:
            self.course.tell("starting throw-away servers")
            folder = Path(servers.enter_context(TemporaryDirectory(prefix="foremend-drill-")))
            ground = ThrowAway(
                folder,
                devices=self.devices,
                programs=self.programs,
                seed=self.course.seed,
                kind=scenario.ground,
            )
            self._ground = servers.enter_context(ground)
        return self._ground

    def _leave(self, servers: ExitStack) -> None:
        servers.close()
        self._ground = None
