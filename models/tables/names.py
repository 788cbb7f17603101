"""Which names a column may go by. What is asked for first by its own name is found by its kin."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column that a table must have: its name here, and the names that others give it."""

    name: str
    kin: tuple[str, ...]

    def found_in(self, header: Sequence[str]) -> int | None:
        """Return where it stands in a header, by the first of its names that is there."""
        plain = [_plain(name) for name in header]
        for name in (self.name, *self.kin):
            if _plain(name) in plain:
                return plain.index(_plain(name))
        return None


TIME: Final = Column(name="ts", kin=("timestamp", "datetime", "time", "date", "date_time"))
DEVICE: Final = Column(
    name="device",
    kin=("device_id", "machine_id", "machine", "asset", "asset_id", "unit", "unit_id", "engine"),
)
CODE: Final = Column(name="code", kin=("error", "error_id", "error_code", "event", "event_code"))
COMPONENT: Final = Column(
    name="component", kin=("comp", "component_id", "failure", "failed_component", "part")
)
CYCLE: Final = Column(name="cycle", kin=("cycles", "time", "t", "time_in_cycles"))


def _plain(name: str) -> str:
    """Letters and digits alone: `machineID`, `Machine ID` and `machine_id` are one name."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
