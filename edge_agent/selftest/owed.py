"""A note on the disk that heater or fan may be on because of us, so that a crash forgets it not."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

LOG: Final = logging.getLogger(__name__)


class Owed:
    """Whether something is still to be switched off.

    >>> owed = Owed(folder / "printer.heaters")
    >>> owed.mark(); owed.is_owed
    True
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def is_owed(self) -> bool:
        """Whether it was marked and not settled."""
        return self._file.exists()

    def mark(self) -> None:
        """Note it before anything is on; raises OSError where it cannot be kept."""
        self._file.touch()

    def settle(self) -> None:
        """It is off."""
        try:
            self._file.unlink(missing_ok=True)
        except OSError as error:
            LOG.warning("a note stays where it is", extra={"error": str(error)})
