"""What can be commanded: the Protocol that a source may answer, and what every agent can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from foremend.errors import ForemendError, Remedy
from foremend.values import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge_agent.downlink.decide import Phases
    from foremend.wire import Details

ANY: Final[Phases] = frozenset()
DIAGNOSTICS: Final = "diagnostics"
"""Asks a device what a technician asks first, and changes nothing."""
_BEGUN: Final = frozenset({int(Phase.HEATING), int(Phase.RUNNING)})
OF_PRINTERS: Final[Mapping[str, Phases]] = {
    "pause": _BEGUN,
    "resume": frozenset({int(Phase.PAUSED)}),
    "cancel": _BEGUN | {int(Phase.PAUSED)},
    DIAGNOSTICS: ANY,
}
"""What any printer can be told to do, and in which phases it makes sense."""
LONGEST_BURST_S: Final = 3600.0


class CommandFailed(ForemendError):
    """The device could not do what it was told."""

    remedy = Remedy.REJECT


@runtime_checkable
class Commandable(Protocol):
    """Something that does what it is told; a source that answers this is asked as well."""

    @property
    def kinds(self) -> Mapping[str, Phases]:
        """What it can do, and in which phases at all; none named means any."""

    async def run(self, kind: str, args: Details) -> Details:
        """Do it once, and give what came of it; raises CommandFailed."""


class BuiltIn:
    """`burst` sends all that is read for a while; `report` says the birth again."""

    def __init__(
        self, burst: Callable[[str | None, float], None], report: Callable[[], None]
    ) -> None:
        self._burst = burst
        self._report = report

    @property
    def kinds(self) -> Mapping[str, Phases]:
        """What it can do, in any phase."""
        return {"burst": ANY, "report": ANY}

    async def run(self, kind: str, args: Details) -> Details:
        """Do it once, and give what came of it."""
        if kind == "report":
            self._report()
            return {}
        channel, seconds = args.get("channel"), args.get("seconds", 60)
        if not (channel is None or isinstance(channel, str)) or not _is_span(seconds):
            raise CommandFailed(f"burst takes a channel and seconds up to {LONGEST_BURST_S:g}")
        self._burst(channel, float(seconds or 0))
        return {"seconds": seconds}


def _is_span(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < float(str(value)) <= LONGEST_BURST_S
