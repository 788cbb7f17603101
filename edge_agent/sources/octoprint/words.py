"""What the messages of OctoPrint's push socket mean; pure.

Source: OctoPrint's documentation, API, "Push updates" and "Event types" (docs.octoprint.org).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from msgspec import Struct

from edge_agent.live.words import Told
from edge_agent.source import Happening
from edge_agent.sources.marlin.complaints import Complaints
from edge_agent.sources.marlin.words import RUNOUT, Whole, error_in, fault_of, runs_out
from foremend.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edge_agent.live.words import Word
    from foremend.clock import Millis

LOGS: Final = r"^Recv: ?(?:.*T\d?: ?[\d.]+ ?/.*@|Error:|!!|fatal:|// ?action: ?out_of_)"
"""Of the terminal's lines only errors, and what stands nowhere else: heaters' power, runouts."""
FLAGS: Final = (
    "error",
    "closedOrError",
    "cancelling",
    "finishing",
    "pausing",
    "paused",
    "resuming",
    "printing",
    "operational",
)
"""Of several that are set, the first is what the printer does."""
GONE: Final = frozenset({"error", "closedOrError"})
"""While one of these is set, OctoPrint knows nothing of the printer's heaters."""


class Kind(Struct, frozen=True):
    """How an event of OctoPrint's is told on: its code, and the fields of its payload that go on.

    Names of files and users stay where they are: they are their owners' business.
    """

    code: str
    severity: Literal["info", "warning", "error"] = "info"
    fields: tuple[str, ...] = ()


EVENTS: Final[dict[str, Kind]] = {
    "PrintStarted": Kind("job_started", fields=("origin", "size")),
    "PrintDone": Kind("job_ended", fields=("origin", "time")),
    "PrintFailed": Kind("job_failed", "warning", ("origin", "time", "reason", "progress")),
    "PrintCancelled": Kind("job_cancelled", fields=("origin", "time", "progress", "firmwareError")),
    "PrintPaused": Kind("job_paused", fields=("origin",)),
    "PrintResumed": Kind("job_resumed", fields=("origin",)),
    "Connected": Kind("printer_connected", fields=("port", "baudrate")),
    "Disconnected": Kind("printer_disconnected", "warning"),
    "PrinterReset": Kind("printer_reset", "warning", ("idle",)),
    "TransferFailed": Kind("transfer_failed", "warning"),
    "FilamentChange": Kind("filament_change"),
    "EStop": Kind("emergency_stop", "error"),
    "FirmwareData": Kind("firmware", fields=("name",)),
}
"""Events that are told on; `Error` beside them, in the words of its error."""


class Hearing:
    """Makes words of one connection's messages, in their order."""

    def __init__(self, most_heaters: int = 32) -> None:
        self._heaters: set[str] = set()
        self._most = most_heaters
        self._reports = Whole()
        self._complaints = Complaints()

    def take(self, text: str | bytes, now_ms: Millis) -> list[Word]:
        """Read one message; what has no known form is left out.

        Raises:
            Unavailable: OctoPrint asks for a new login.
        """
        try:
            message = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return []
        if not isinstance(message, dict):
            return []
        if "reauthRequired" in message:
            raise Unavailable("OctoPrint asks for a new login")
        return list(self._words(message, now_ms))

    def _words(self, message: Mapping[str, Any], now_ms: Millis) -> Iterator[Word]:
        # A history repeats old log lines, whose errors were told of in their time.
        for kind, with_logs in (("history", False), ("current", True)):
            state = message.get(kind)
            if isinstance(state, dict):
                yield from self._state(state)
                yield from self._logs(state.get("logs"), now_ms) if with_logs else ()
        event = message.get("event")
        if isinstance(event, dict):
            yield from self._event(event.get("type"), event.get("payload"), now_ms)

    def _event(self, kind: object, payload: object, now_ms: Millis) -> Iterator[Happening]:
        content = payload if isinstance(payload, dict) else {}
        if kind == "Error":
            yield from self._error(content.get("error"), _kept(content, ("reason",)), now_ms)
            return
        told = EVENTS.get(kind) if isinstance(kind, str) else None
        # A print that was cancelled is told of as failed as well.
        if told is not None and content.get("reason") != "cancelled":
            details = _kept(content, told.fields)
            yield Happening(ts_ms=now_ms, code=told.code, severity=told.severity, details=details)

    def _state(self, state: Mapping[str, Any]) -> Iterator[Told]:
        temps = state.get("temps")
        if isinstance(temps, list) and temps and isinstance(temps[-1], dict):
            yield self._temperatures(temps[-1], state.get("serverTime"))
        told = dict(_fields("progress", state.get("progress")))
        word = _flag(state.get("state"))
        if word is not None:
            told["state"] = word
        if word in GONE:
            told |= dict.fromkeys(self._heaters)
        yield Told(values=told)

    def _temperatures(self, entry: Mapping[str, Any], server_s: object) -> Told:
        told = {
            path: value
            for name, heater in entry.items()
            if name != "time"
            for path, value in _fields(name, heater)
        }
        self._note(told)
        return Told(values=told, age_ms=_age_ms(entry.get("time"), server_s))

    def _logs(self, lines: object, now_ms: Millis) -> Iterator[Word]:
        for line in lines if isinstance(lines, list) else ():
            said = str(line).removeprefix("Recv:").strip()
            powers = {k: v for k, v in self._reports.read(said).items() if k.endswith(".power")}
            if powers:
                self._note(powers)
                yield Told(values=powers)
            if runs_out(said):
                yield Happening(ts_ms=now_ms, code=RUNOUT, severity="warning")
            error = error_in(said)
            if error is not None:
                yield from self._error(error, {}, now_ms)

    def _error(
        self, text: object, details: Mapping[str, Any], now_ms: Millis
    ) -> Iterator[Happening]:
        said = str(text)
        yield from self._complaints.of(fault_of(said), said, now_ms, dict(details))

    def _note(self, told: Mapping[str, object]) -> None:
        if len(self._heaters) < self._most:
            self._heaters |= told.keys()


def _kept(content: Mapping[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    found = {name: content[name] for name in fields if name in content}
    plain = {k: v for k, v in found.items() if isinstance(v, str | int | float | bool)}
    return {k: v[:256] if isinstance(v, str) else v for k, v in plain.items()}


def _fields(name: str, group: object) -> Iterator[tuple[str, object]]:
    if isinstance(group, dict):
        for key, value in group.items():
            yield f"{name}.{key}", value


def _flag(state: object) -> str | None:
    flags = state.get("flags") if isinstance(state, dict) else None
    if not isinstance(state, dict) or not isinstance(flags, dict):
        return None
    # A printer that was let go after an error is told of as closed, beside the words of the error.
    if flags.get("closedOrError") is True and state.get("error"):
        return "error"
    return next((flag for flag in FLAGS if flags.get(flag) is True), "none")


def _age_ms(taken_s: object, server_s: object) -> Millis:
    """Give how long ago an entry was taken, at least; its instant is told in whole seconds.

    >>> _age_ms(100, 103.25)
    2250
    """
    if not isinstance(taken_s, int | float) or not isinstance(server_s, int | float):
        return 0
    return max(0, round(1000 * (server_s - taken_s - 1)))
