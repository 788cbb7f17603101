"""What a store remembers of the database, so that it need not ask each time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from foremend.clock import Millis
    from ingest.plan import BootKey, KnownBoot, KnownSchema

MOST_BOOTS: Final = 32_768
"""Some 15 MB; beyond it everything is forgotten and asked for again."""
TOUCH_EVERY_S: Final = 5.0
"""How often a device's row is brought up to date while its frames keep coming."""
_STAGGER: Final = 16


@dataclass(slots=True)
class Known:
    """Only ever what was committed: ids of a transaction that was rolled back mean nothing."""

    boots: dict[BootKey, KnownBoot] = field(default_factory=dict)
    schemas: dict[str, KnownSchema] = field(default_factory=dict)
    clocks: dict[str, Millis] = field(default_factory=dict)
    """Per timeline but `live`, the instant of its newest frame."""
    untold: dict[int, Millis] = field(default_factory=dict)
    """Per device id, its newest frame, where the device's row does not say so yet."""
    _touched_at: dict[int, float] = field(default_factory=dict)

    def learn(
        self,
        boots: dict[BootKey, KnownBoot],
        schemas: dict[str, KnownSchema],
        clocks: dict[str, Millis],
    ) -> None:
        """Remember what a commit used or made."""
        if len(self.boots) > MOST_BOOTS:
            self.forget()
        self.boots.update(boots)
        self.schemas.update(schemas)
        for timeline, at_ms in clocks.items():
            self.clocks[timeline] = max(at_ms, self.clocks.get(timeline, at_ms))

    def forget(self) -> None:
        """Ask for everything anew."""
        self.boots.clear()
        self.schemas.clear()

    def due(self, latest: dict[int, Millis], now: float) -> dict[int, Millis]:
        """Give the devices whose rows should be brought up to date with this commit.

        What is held back is told by a later commit, or by a rest; a crash leaves a row at most
        `TOUCH_EVERY_S` behind, until the device's next frame.
        """
        touched, never = self._touched_at, float("-inf")
        # Not all at once: each device has an age of its own, from half of it on.
        ages = [TOUCH_EVERY_S * (1 - n / (2 * _STAGGER)) for n in range(_STAGGER)]
        return {
            device_id: at_ms
            for device_id, at_ms in latest.items()
            if now - touched.get(device_id, never) >= ages[device_id % _STAGGER]
        }

    def told(self, latest: dict[int, Millis], due: dict[int, Millis], now: float) -> None:
        """Note what was committed of `due`, and hold the rest of `latest` back."""
        if len(self._touched_at) > MOST_BOOTS:
            self._touched_at.clear()
        for device_id in due:
            self._touched_at[device_id] = now
            self.untold.pop(device_id, None)
        for device_id, at_ms in latest.items():
            if device_id not in due:
                self.untold[device_id] = max(at_ms, self.untold.get(device_id, at_ms))
