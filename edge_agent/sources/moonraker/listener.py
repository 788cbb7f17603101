"""What one connection to Moonraker has told so far, and what each notification adds; pure.

Names of notifications and their parameters: docs/external_api of Moonraker.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from edge_agent.live.words import Told
from edge_agent.source import Happening
from edge_agent.sources.moonraker import events
from edge_agent.sources.moonraker.derived import READY, STATE, derive, state_of
from edge_agent.sources.moonraker.eventtime import EventClock
from edge_agent.sources.moonraker.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edge_agent.live.words import Word
    from foremend.clock import Millis, NowMs

STATUS: Final = "notify_status_update"
OUTPUT: Final = "notify_gcode_response"
STARTUP: Final = "startup"
AGAIN_MS: Final = 60_000
"""The same code is said no sooner again."""
_LONGEST_S: Final = 1e10
"""Three centuries: no clock of a host's start says more."""
_TELLING: Final = frozenset(
    {
        "notify_klippy_ready",
        "notify_klippy_shutdown",
        "notify_klippy_disconnected",
        "notify_cpu_throttled",
        "notify_history_changed",
    }
)
_BEFORE_READY: Final = frozenset({"startup", "disconnected"})


class Need(Enum):
    """What is to be asked of Moonraker before anything else makes sense."""

    NOTHING = "nothing"
    SUBSCRIPTION = "subscription"
    """Klipper is ready and has forgotten who listens."""
    REASON = "reason"
    """Klipper stands still and has not said why."""


@dataclass(slots=True)
class Memory:
    """What outlives a connection, so that a new one does not say the same again."""

    said: dict[str, Millis] = field(default_factory=dict)
    halted: str = ""
    """The message of the standstill that was last told."""
    throttled: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A notification of Moonraker's: its method and its parameters."""

    method: str
    params: tuple[Any, ...] = ()

    @property
    def first(self) -> dict[str, Any]:
        """The first parameter where it is a table, else an empty one."""
        return self.params[0] if self.params and isinstance(self.params[0], dict) else {}


def may_tell(notice: Notice) -> bool:
    """Whether an event may come of it, which no question brings back."""
    if notice.method == OUTPUT:
        return _is_complaint(notice.params[0] if notice.params else None)
    return notice.method in _TELLING


class Listener:
    """Turns notifications into words.

    Only what Klipper itself tells vouches for its values: Moonraker goes on talking when Klipper
    hangs. While Klipper is not ready no value of it is believed, for it repeats the last for ever.
    """

    def __init__(self, memory: Memory, *, now_ms: NowMs, steady_ms: NowMs) -> None:
        self.need = Need.NOTHING
        self._memory, self._now_ms, self._steady_ms = memory, now_ms, steady_ms
        self._clock = EventClock()
        self._status = Status()
        self._state = STARTUP
        self._told: set[str] = set()
        self._beside: dict[str, object] = {}
        self._first_sensor: str | None = None
        self._by_method: Final[dict[str, Callable[[Notice], list[Word]]]] = {
            STATUS: self._updated,
            "notify_klippy_ready": self._ready,
            "notify_klippy_shutdown": self._shutdown,
            "notify_klippy_disconnected": self._disconnected,
            OUTPUT: self._answered,
            "notify_cpu_throttled": self._throttled,
            "notify_proc_stat_update": self._host,
            "notify_sensor_update": self._metered,
            "notify_history_changed": self._recorded,
        }

    @property
    def is_ready(self) -> bool:
        """Whether Klipper runs, as far as is known."""
        return self._state not in {"startup", "disconnected", "shutdown", "error"}

    @property
    def status(self) -> Status:
        """What the printer's objects hold."""
        return self._status

    def hear(self, notice: Notice) -> list[Word]:
        """Give the words of a notification; none where it means nothing to us."""
        answer = self._by_method.get(notice.method)
        return [] if answer is None else answer(notice)

    def subscribed(self, objects: Iterable[str], status: object, event_s: object) -> list[Word]:
        """Begin anew with all that a subscription answered."""
        self._status = Status(objects)
        self.need = Need.NOTHING
        return self.took(status, event_s)

    def took(self, delta: object, event_s: object) -> list[Word]:
        """Take a change of status of Klipper's, dated by its own clock."""
        if not isinstance(delta, dict) or not _is_instant(event_s):
            return []
        was = {name: dict(fields) for name, fields in self._status.objects.items()}
        told = self._status.take(delta)
        own = self._status.field("webhooks", "state")
        if own not in (READY, None):
            return self.halted(str(own), self._message())
        self._memory.halted = ""
        self._state = state_of(self._status) or "standby"
        values = {**told, **derive(self._status), **self._beside}
        self._beside.clear()
        self._told |= set(values)
        age_ms = self._clock.age_ms(float(event_s), self._steady_ms())  # type: ignore[arg-type]
        return [Told(values=values, age_ms=age_ms), *self._filament(was)]

    def halted(self, state: str, message: str) -> list[Word]:
        """Klipper is not ready: forget its values, and say why where it is a fault."""
        self._state = state
        values: dict[str, object] = dict.fromkeys(self._told)
        words: list[Word] = [Told(values=values | {STATE: state})]
        if state in _BEFORE_READY or (message and message == self._memory.halted):
            return words
        if not message:
            self.need = Need.REASON
            return words
        self.need = Need.NOTHING
        self._memory.halted = message
        return [
            *words,
            self._event(f"klippy_{state}", "error", text=message),
            *self._error(message),
        ]

    def _updated(self, notice: Notice) -> list[Word]:
        delta, event_s = (*notice.params, None, None)[:2]
        return self.took(delta, event_s)

    def _message(self) -> str:
        return str(self._status.field("webhooks", "state_message") or "")

    def _ready(self, _notice: Notice) -> list[Word]:
        self.need = Need.SUBSCRIPTION
        return [self._event("klippy_ready")]

    def _shutdown(self, _notice: Notice) -> list[Word]:
        """Its reason may still be on its way, and what was told of the state before is none."""
        said = self._status.field("webhooks", "state") == "shutdown"
        return self.halted("shutdown", self._message() if said else "")

    def _disconnected(self, _notice: Notice) -> list[Word]:
        return [*self.halted("disconnected", ""), self._event("klippy_disconnected", "warning")]

    def _answered(self, notice: Notice) -> list[Word]:
        text = notice.params[0] if notice.params else None
        return self._error(text) if _is_complaint(text) else []

    def _throttled(self, notice: Notice) -> list[Word]:
        bits = notice.first.get("bits")
        if not isinstance(bits, int):
            return []
        began = events.throttled(self._memory.throttled, bits)
        self._memory.throttled = bits
        return [self._event(code, "warning") for code in began]

    def _host(self, notice: Notice) -> list[Word]:
        temp = notice.first.get("cpu_temp")
        if _is_number(temp):
            self._beside["host.cpu_temp"] = temp
        state = notice.first.get("throttled_state")
        return self._throttled(Notice(method="", params=(state,))) if state else []

    def metered(self, sensors: object) -> None:
        """Take what all power meters read, to be told with the next status."""
        if not isinstance(sensors, dict):
            return
        self._first_sensor = next(iter(sensors), None)
        for name, sensor in sensors.items():
            self._meter(name, sensor.get("values") if isinstance(sensor, dict) else None)

    def _metered(self, notice: Notice) -> list[Word]:
        for name, values in notice.first.items():
            if self._first_sensor is None:
                self._first_sensor = name
            self._meter(name, values)
        return []

    def _meter(self, name: str, values: object) -> None:
        stems = [f"sensor {name}", *(["sensor"] if name == self._first_sensor else [])]
        for quantity, value in values.items() if isinstance(values, dict) else ():
            self._beside |= {f"{stem}.{quantity}": value for stem in stems}

    def _recorded(self, notice: Notice) -> list[Word]:
        """Jobs, as Moonraker's history tells them."""
        job = notice.first.get("job")
        action = notice.first.get("action")
        if not isinstance(job, dict) or action not in {"added", "finished"}:
            return []
        if action == "added":
            return [self._event("job_started")]
        kept = ("status", "print_duration", "filament_used")
        details = {key: job[key] for key in kept if isinstance(job.get(key), str | int | float)}
        return [self._event("job_ended", **details)]

    def _filament(self, was: dict[str, dict[str, Any]]) -> list[Word]:
        """Say so once a sensor no longer sees any, while something is printed."""
        if self._state != "printing":
            return []
        codes = {
            "filament_switch_sensor": "filament_runout",
            "filament_motion_sensor": "no_filament_motion",
        }
        words: list[Word] = []
        for name, fields in self._status.objects.items():
            code = codes.get(name.split(" ", 1)[0])
            before = was.get(name, {}).get("filament_detected")
            if code and before is True and fields.get("filament_detected") is False:
                words.append(
                    self._event(code, "warning", component="nozzle" if "motion" in code else None)
                )
        return words

    def _error(self, message: str) -> list[Word]:
        """Give what a message is known as, if it was not just said."""
        known, now_ms = events.known(message), self._steady_ms()
        text = events.first_line(message)
        key = f"{known.code} {text}" if known.code == events.UNKNOWN_ERROR else known.code
        said = self._memory.said
        if not text or now_ms - said.get(key, now_ms - AGAIN_MS) < AGAIN_MS:
            return []
        self._memory.said = {k: at for k, at in said.items() if now_ms - at < AGAIN_MS} | {
            key: now_ms
        }
        return [self._event(known.code, known.severity, component=known.component, text=text)]

    def _event(
        self,
        code: str,
        severity: events.Severity = "info",
        *,
        component: str | None = None,
        text: str = "",
        **details: str | float,
    ) -> Happening:
        said = {"message": events.first_line(text)} if text else {}
        return Happening(
            ts_ms=self._now_ms(),
            code=code,
            severity=severity,
            component=component,
            details={**details, **said},
        )


def _is_complaint(told: object) -> TypeGuard[str]:
    """Whether Klipper printed an error."""
    return isinstance(told, str) and told.startswith("!!")


def _is_instant(told: object) -> bool:
    """Whether it can be a monotonic clock's: seconds since some start."""
    return _is_number(told) and 0 <= float(told) < _LONGEST_S  # type: ignore[arg-type]


def _is_number(told: object) -> bool:
    return isinstance(told, int | float) and not isinstance(told, bool)
