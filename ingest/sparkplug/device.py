"""One Sparkplug device, or an edge node's own metrics, within one session of its edge node.

Its messages are numbered from 0 without a hole. That is stable: a session is taken in the order
of its sequence numbers and only up to the first loss, so that the nth message of a device is
always the same one, however often the stream is heard.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from foremend import wire
from foremend.clock import DAY_MS
from foremend.values import GAP, ID_PATTERN
from ingest.sparkplug.outcome import Tally
from ingest.sparkplug.readings import Present, alone, by_instant, frames, silence, sort

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foremend.clock import Millis
    from ingest.sparkplug.channels import Introduction
    from ingest.sparkplug.outcome import Outcome, Reason
    from ingest.sparkplug.payload import Metric
    from ingest.sparkplug.readings import Reading, Row

AGENT: Final = "sparkplug-b"
"""What stored births name as their agent, so that everybody can tell what promise 1 leaves out."""
MODEL: Final = "Sparkplug B"
HISTORY_MS: Final = 31 * DAY_MS
"""How long before its edge node's birth a historical value may have been measured."""


@dataclass(slots=True, kw_only=True)
class Stream:
    """A run of numbered messages: what is, is one; what was, told late or as history, another."""

    boot: str
    boot_ms: Millis
    following: int = 0
    introduced: str = ""
    """The schema that its latest birth told."""


@dataclass(slots=True, kw_only=True)
class Device:
    """One device of a session; `born` is False before its birth and after its death."""

    address: wire.Address
    live: Stream
    history: Stream
    family: str
    born: bool = False
    known: Introduction | None = None
    present: Present = field(default_factory=lambda: Present(width=0))

    @classmethod
    def of_session(cls, address: wire.Address, boot: str, born_ms: Millis, family: str) -> Device:
        """Give a device of which nothing is known yet."""
        return cls(
            address=address,
            live=Stream(boot=boot, boot_ms=born_ms),
            history=Stream(boot=f"{boot}-h", boot_ms=born_ms - HISTORY_MS),
            family=family,
        )

    def birth(
        self, known: Introduction, metrics: Sequence[Metric], sent_ms: Millis, out: Outcome
    ) -> None:
        """Take a birth: what the device is, and what each channel holds as it is born."""
        self.known, self.born = known, True
        self.present = Present(width=len(known.channels))
        self._introduce(self.live, out)
        told = sort(metrics, known, sent_ms)
        out.tally[Tally.PASSED_OVER] += told.passed_over
        self._data(self.live, [self.present.born(told.live, sent_ms)], out)
        self._historical(told.historical, out)

    def data(self, metrics: Sequence[Metric], sent_ms: Millis, out: Outcome) -> bool:
        """Take what changed; False where something was told that the birth does not explain."""
        assert self.known is not None  # noqa: S101 - it was born
        told = sort(metrics, self.known, sent_ms)
        out.tally[Tally.PASSED_OVER] += told.passed_over
        out.tally[Tally.UNKNOWN] += told.unknown
        rows, late = self.present.take(told.live)
        self._data(self.live, rows, out)
        self._historical([*told.historical, *late], out)
        return told.unknown == 0

    def status(self, *, online: bool, now_ms: Millis, out: Outcome) -> None:
        """Say whether the device is there, by our clock, so that the latest word wins."""
        if not self._silent:
            status = wire.Status(
                boot=self.live.boot, state="online" if online else "offline", ts_ms=now_ms
            )
            out.say(self.address, wire.Up.STATUS, status)

    def death(self, now_ms: Millis, out: Outcome) -> None:
        """Take a death: the device is away, and nothing is known of its channels."""
        self.stale(now_ms, out)
        self.born = False
        self.status(online=False, now_ms=now_ms, out=out)

    def stale(self, now_ms: Millis, out: Outcome) -> None:
        """Say in the telemetry itself that from here on nothing is known."""
        if self.born:
            at_ms = max(now_ms, self.present.newest_ms + 1)
            self._data(self.live, [silence(at_ms, self.present.width)], out)

    def gap(self, reason: Reason, lost: int, now_ms: Millis, out: Outcome) -> None:
        """Record that messages are missing: at most `lost` of this device, 0 where none can say.

        The numbers they would have had are settled as lost; a session takes nothing after a loss.
        """
        if self._silent:
            return
        seq = self.live.following
        details: dict[str, wire.Scalar] = {"reason": reason.value, "boot": self.live.boot}
        if lost:
            details |= {"first": seq + 1, "last": seq + lost}
        event = wire.Event(
            boot=self.live.boot,
            seq=seq,
            ts_ms=now_ms,
            code=GAP,
            severity="warning",
            details=details,
        )
        self.live.following += 1 + lost
        out.say(self.address, wire.Up.EVENT, event)

    @property
    def _silent(self) -> bool:
        """Whether it has no channel, and so is none of the devices that are kept."""
        return self.known is None or not self.known.channels

    def _introduce(self, stream: Stream, out: Outcome) -> None:
        known = self.known
        if known is None or not known.channels:
            return
        details, family = known.details, known.details.get("family", "")
        birth = wire.Birth(
            boot=stream.boot,
            boot_ms=stream.boot_ms,
            schema=known.schema,
            channels=known.channels,
            family=family if ID_PATTERN.match(family) else self.family,
            model=details.get("model", MODEL),
            firmware=details.get("firmware", ""),
            agent=AGENT,
        )
        stream.introduced = known.schema
        out.say(self.address, wire.Up.BIRTH, birth)

    def _historical(self, readings: Sequence[Reading], out: Outcome) -> None:
        if not readings:
            return
        assert self.known is not None  # noqa: S101 - it was born
        if self.history.introduced != self.known.schema:
            self._introduce(self.history, out)
        rows = [alone(ts_ms, told, self.present.width) for ts_ms, told in by_instant(readings)]
        self._data(self.history, rows, out)

    def _data(self, stream: Stream, rows: Sequence[Row], out: Outcome) -> None:
        if not rows or self._silent:
            return
        assert self.known is not None  # noqa: S101 - it is not silent
        data = wire.Data(
            boot=stream.boot,
            seq=stream.following,
            schema=self.known.schema,
            frames=frames(rows),
        )
        stream.following += 1
        out.say(self.address, wire.Up.DATA, data)
